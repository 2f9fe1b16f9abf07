# libmono_quant_torch: the only part that knows LibTorch, opened by the core when a module is first asked for.
find_package(Torch 2.13 QUIET)
if(NOT Torch_FOUND)
  message(FATAL_ERROR "LibTorch 2.13 was not found. Name it with -DCMAKE_PREFIX_PATH=LIBTORCH/share/cmake (or -DTorch_DIR), "
                      "or build the core alone with -DMONO_QUANT_TORCH=OFF.")
endif()
if(NOT Torch_VERSION VERSION_LESS 2.14)
  message(FATAL_ERROR "LibTorch ${Torch_VERSION} was found; the backend is written against 2.13. "
                      "Build the core alone with -DMONO_QUANT_TORCH=OFF.")
endif()

file(GLOB_RECURSE torch_sources CONFIGURE_DEPENDS src/torch/*.cpp)
# LibTorch brings a fmt of its own, which its headers and so this library use: messages are made with that one here.
add_library(mono_quant_torch MODULE ${torch_sources} src/base/text/format.cpp)
target_include_directories(mono_quant_torch SYSTEM PRIVATE ${TORCH_INCLUDE_DIRS})
target_precompile_headers(mono_quant_torch PRIVATE src/torch/libtorch.h)
# Its headers' checks tell the file that they stand in: as torch/include/..., not where it lies on this machine.
cmake_path(GET TORCH_INSTALL_PREFIX PARENT_PATH torch_parent)
target_compile_options(mono_quant_torch PRIVATE -fmacro-prefix-map=${torch_parent}/=)
# Even so LibTorch's headers take the compiler 4 s in each file, for what each is to have of its own: files that are compiled
# together have it once.
set_target_properties(mono_quant_torch PROPERTIES UNITY_BUILD ON UNITY_BUILD_MODE GROUP)
set_source_files_properties(src/torch/backend.cpp src/torch/errors.cpp src/torch/module_tree.cpp src/torch/tensors.cpp
                            src/torch/torch_module.cpp PROPERTIES UNITY_GROUP module)
set_source_files_properties(src/torch/clone_module.cpp src/torch/graph/decode_weight.cpp
                            src/torch/graph/rewrite_graph.cpp src/torch/graph/use_integers.cpp PROPERTIES UNITY_GROUP clone)
set_source_files_properties(src/torch/graph/inlined_size.cpp src/torch/graph/integer_convolutions.cpp
                            src/torch/graph/integer_layers.cpp
                            src/torch/graph/method_writes.cpp src/torch/graph/packed_weights.cpp
                            src/torch/graph/stock_functions.cpp
                            PROPERTIES UNITY_GROUP graph)
# It needs none of LibTorch's but fmt.
set_source_files_properties(src/base/text/format.cpp PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
target_link_libraries(mono_quant_torch PRIVATE mono_quant_core mono_quant_warnings torch_cpu c10)
# torch's own flags, without its headers' directories as ordinary ones: their warnings are not ours.
# The LibTorch it was built with is found wherever the library is installed, but for packages, which have another runpath.
# INSTALL_RPATH_USE_LINK_PATH would leave out one that lies below this project, as that of build/venv does.
get_target_property(torch_library torch_cpu IMPORTED_LOCATION_RELEASE)
if(NOT torch_library)
  get_target_property(torch_library torch_cpu IMPORTED_LOCATION)
endif()
cmake_path(GET torch_library PARENT_PATH torch_folder)
set(MONO_QUANT_TORCH_RUNPATH "$ORIGIN;LIBTORCH" CACHE STRING
    "Where the backend looks for LibTorch; LIBTORCH stands for the one it is built with")
string(REPLACE LIBTORCH "${torch_folder}" torch_runpath "${MONO_QUANT_TORCH_RUNPATH}")
# The same where it is built: what CMake would pad a build's own RPATH with means the working folder.
set_target_properties(mono_quant_torch PROPERTIES NO_SYSTEM_FROM_IMPORTED OFF BUILD_WITH_INSTALL_RPATH ON
                                                  INSTALL_RPATH "${torch_runpath}")
set(map ${PROJECT_BINARY_DIR}/mono_quant_torch.map)
file(CONFIGURE OUTPUT ${map} CONTENT
     "{\n  global:\n    mono_quant_torch_version;\n    mono_quant_torch_backend;\n  local: *;\n};\n" @ONLY)
target_link_options(mono_quant_torch PRIVATE -Wl,--version-script=${map} -Wl,-z,nodelete
                                             -Wl,-soname,libmono_quant_torch.so)
if(NOT MONO_QUANT_SANITIZE)
  target_link_options(mono_quant_torch PRIVATE -Wl,-z,defs)
endif()
set_target_properties(mono_quant_torch PROPERTIES LINK_DEPENDS ${map})
if(MONO_QUANT_SANITIZE)
  # LibTorch's classes have their type information in LibTorch, where these checks do not look.
  target_compile_options(mono_quant_torch PRIVATE -fno-sanitize=vptr)
endif()
