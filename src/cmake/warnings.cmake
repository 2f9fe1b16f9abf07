# Warnings for everybody; the presets of this repository make them errors, a packager's build does not.
add_library(mono_quant_warnings INTERFACE)
target_compile_options(mono_quant_warnings INTERFACE -Wall -Wextra -Wpedantic
                       $<$<COMPILE_LANGUAGE:CXX>:-Wshadow -Wno-missing-field-initializers>)

if(MONO_QUANT_SANITIZE)
  add_compile_options(-fsanitize=${MONO_QUANT_SANITIZE} -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${MONO_QUANT_SANITIZE})
endif()
