# What is installed, in components: core, what programs and people at a terminal need; torch, the backend; dev, what
# programs are built with. It can be moved as a whole, and is found by pkg-config and by CMake.
include(CMakePackageConfigHelpers)

set(MONO_QUANT_URL "file://\${prefix}/${CMAKE_INSTALL_DATAROOTDIR}/doc/${PROJECT_NAME}/README.md"
    CACHE STRING "Where the documentation is, for pkg-config")
set(MONO_QUANT_ZSH_COMPLETIONS ${CMAKE_INSTALL_DATAROOTDIR}/zsh/site-functions
    CACHE STRING "Where zsh looks for completions; Debian's: share/zsh/vendor-completions")

set(headers ${CMAKE_INSTALL_INCLUDEDIR}/mono_quant)
set(package ${CMAKE_INSTALL_LIBDIR}/cmake/mono_quant)
install(TARGETS mono_quant EXPORT mono_quant
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT core NAMELINK_COMPONENT dev)
if(MONO_QUANT_STATIC)
  install(TARGETS mono_quant_static EXPORT mono_quant ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT dev)
endif()
install(FILES ${mono_quant_headers} DESTINATION ${headers} COMPONENT dev)
install(FILES capi/abi.json DESTINATION ${CMAKE_INSTALL_DATADIR}/mono_quant COMPONENT dev)
install(DIRECTORY bindings-examples/c bindings-examples/cpp bindings-examples/plugin
        DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples COMPONENT dev
        FILES_MATCHING REGEX "(Makefile|CMakeLists\\.txt|\\.(c|cpp|h|md))$" PATTERN build EXCLUDE PATTERN names.h EXCLUDE)
install(FILES LICENSE README.md src/quantize/report.md DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT core)

# The licences of what is inside: fmt and nlohmann/json always, as they are compiled in.
set(licences fmt nlohmann-json)
if(MONO_QUANT_SELF_CONTAINED)
  list(APPEND licences oneTBB zlib)
endif()
if(MONO_QUANT_CLI)
  list(APPEND licences CLI11)
  set(manual src/cli/manual)
  install(TARGETS monoquant RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT core)
  install(FILES ${manual}/monoquant.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT core)
  install(FILES ${manual}/monoquant.bash DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/bash-completion/completions
          RENAME monoquant COMPONENT core)
  install(FILES ${manual}/monoquant.zsh DESTINATION ${MONO_QUANT_ZSH_COMPLETIONS} RENAME _monoquant COMPONENT core)
  install(FILES ${manual}/monoquant.fish DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/fish/vendor_completions.d
          COMPONENT core)
endif()
list(TRANSFORM licences PREPEND src/cmake/licences/)
list(TRANSFORM licences APPEND .txt)
install(FILES ${licences} DESTINATION ${CMAKE_INSTALL_DOCDIR}/licences COMPONENT core)
if(MONO_QUANT_TORCH)
  install(TARGETS mono_quant_torch LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT torch)
endif()

install(EXPORT mono_quant NAMESPACE mono_quant:: FILE mono_quant-targets.cmake DESTINATION ${package} COMPONENT dev)
file(RELATIVE_PATH package_to_libdir /${package} /${CMAKE_INSTALL_LIBDIR})
configure_file(src/cmake/mono_quant-config.cmake.in mono_quant-config.cmake @ONLY)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/mono_quant-config-version.cmake COMPATIBILITY SameMajorVersion)
install(FILES ${PROJECT_BINARY_DIR}/mono_quant-config.cmake ${PROJECT_BINARY_DIR}/mono_quant-config-version.cmake
        DESTINATION ${package} COMPONENT dev)

set(libs_private "-lstdc++ -lm -lpthread -ldl")
if(NOT MONO_QUANT_SELF_CONTAINED)
  string(PREPEND libs_private "-ltbb -lz ")
endif()
file(RELATIVE_PATH to_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(src/cmake/mono_quant.pc.in mono_quant.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/mono_quant.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT dev)
