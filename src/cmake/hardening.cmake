# What makes a fault of ours harder to use: for the presets of this repository, which our packages are built with. A
# packager's own build has the flags that he sets and no others.
if(MONO_QUANT_HARDENING AND NOT MONO_QUANT_SANITIZE)
  # The sanitizers check more, and do not see through the checked functions. Those need optimisation.
  add_compile_options(-fstack-protector-strong "$<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE;-D_FORTIFY_SOURCE=2>")
  add_link_options(-Wl,-z,relro,-z,now,-z,noexecstack)
endif()
