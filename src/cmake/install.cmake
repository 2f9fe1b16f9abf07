# What is installed: it can be moved as a whole, and found by pkg-config and by CMake.
include(CMakePackageConfigHelpers)

set(headers ${CMAKE_INSTALL_INCLUDEDIR}/mono_quant)
set(package ${CMAKE_INSTALL_LIBDIR}/cmake/mono_quant)
install(TARGETS mono_quant EXPORT mono_quant LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${mono_quant_headers} DESTINATION ${headers})
install(FILES capi/abi.json DESTINATION ${CMAKE_INSTALL_DATADIR}/mono_quant)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES src/quantize/report.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
if(MONO_QUANT_TORCH)
  install(TARGETS mono_quant_torch LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
if(MONO_QUANT_CLI)
  install(TARGETS monoquant RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

install(EXPORT mono_quant NAMESPACE mono_quant:: FILE mono_quant-targets.cmake DESTINATION ${package})
file(RELATIVE_PATH package_to_libdir /${package} /${CMAKE_INSTALL_LIBDIR})
configure_file(src/cmake/mono_quant-config.cmake.in mono_quant-config.cmake @ONLY)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/mono_quant-config-version.cmake COMPATIBILITY SameMajorVersion)
install(FILES ${PROJECT_BINARY_DIR}/mono_quant-config.cmake ${PROJECT_BINARY_DIR}/mono_quant-config-version.cmake
        DESTINATION ${package})

file(RELATIVE_PATH to_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(src/cmake/mono_quant.pc.in mono_quant.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/mono_quant.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
