# What cpack makes of a build that ./dev package configured: a Debian package of each component (preset debian), or one archive
# that can be unpacked anywhere (preset portable).
set(MONO_QUANT_MAINTAINER "mono-quant maintainers <maintainers@mono-quant.example>" CACHE STRING "Who packages")

set(CPACK_PACKAGE_NAME mono-quant)
set(CPACK_PACKAGE_CONTACT "${MONO_QUANT_MAINTAINER}")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_PACKAGE_FILE_NAME mono_quant-${PROJECT_VERSION}-linux-${CMAKE_SYSTEM_PROCESSOR})
set(CPACK_GENERATOR TGZ)
set(CPACK_STRIP_FILES ON)
set(CPACK_VERBATIM_VARIABLES ON)
set(CPACK_COMPONENTS_ALL core dev)
if(MONO_QUANT_TORCH)
  list(APPEND CPACK_COMPONENTS_ALL torch)
endif()

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_PRE_BUILD_SCRIPTS ${PROJECT_SOURCE_DIR}/src/cmake/debian/finish.cmake)
set(CPACK_MONO_QUANT_COPYRIGHT ${PROJECT_SOURCE_DIR}/src/cmake/debian/copyright)

set(same_version "libmono-quant1 (= ${PROJECT_VERSION})")
set(CPACK_DEBIAN_CORE_PACKAGE_NAME libmono-quant1)
set(CPACK_DEBIAN_CORE_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_CORE_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_CORE_PACKAGE_PROVIDES monoquant)
set(CPACK_DEBIAN_CORE_PACKAGE_SUGGESTS libmono-quant-torch)
# What programs that link the library depend on, and that the loader's cache is made anew.
set(control ${PROJECT_BINARY_DIR}/debian)
file(CONFIGURE OUTPUT ${control}/shlibs CONTENT "libmono_quant 1 libmono-quant1 (>= @PROJECT_VERSION@)\n" @ONLY)
file(CONFIGURE OUTPUT ${control}/triggers CONTENT "activate-noawait ldconfig\n" @ONLY)
set(CPACK_DEBIAN_CORE_PACKAGE_CONTROL_EXTRA ${control}/shlibs ${control}/triggers)
set(CPACK_COMPONENT_CORE_DESCRIPTION "Makes checkpoints of PyTorch, Hugging Face folders and GGUF files a quarter or
an eighth of their size, with an account of what it cost in accuracy, layer by
layer. This package has the library with its C ABI, and the command line.")
set(CPACK_DEBIAN_DEV_PACKAGE_NAME libmono-quant-dev)
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS "${same_version}")
set(CPACK_DEBIAN_DEV_PACKAGE_RECOMMENDS "libtbb-dev, zlib1g-dev")
set(CPACK_COMPONENT_DEV_DESCRIPTION "This package has what C and C++ programs are built with: headers, the static
library, and what pkg-config and CMake find it by. Recommended is what the
static library needs.")
set(CPACK_DEBIAN_TORCH_PACKAGE_NAME libmono-quant-torch)
set(CPACK_DEBIAN_TORCH_PACKAGE_SECTION libs)
# LibTorch 2.13 is in no package of Debian, so that dpkg-shlibdeps cannot be asked.
set(CPACK_DEBIAN_TORCH_PACKAGE_DEPENDS "${same_version}, libc6 (>= 2.34), libgcc-s1, libstdc++6 (>= 11)")
set(CPACK_DEBIAN_TORCH_PACKAGE_CONTROL_EXTRA ${control}/triggers)
set(CPACK_COMPONENT_TORCH_DESCRIPTION "This package has what runs and rewrites TorchScript modules. It needs LibTorch
2.13, which is in no package: put its folder into /etc/ld.so.conf.d or
LD_LIBRARY_PATH.")
include(CPack)
