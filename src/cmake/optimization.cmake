# What is optimised for what: loops over weights for speed, all else in a release for size, which halves it.
file(GLOB kernel_sources CONFIGURE_DEPENDS src/kernels/*.cpp)
file(GLOB_RECURSE loop_sources CONFIGURE_DEPENDS src/schemes/*.cpp src/layouts/*.cpp src/methods/*.cpp
     src/quantize/loop/*.cpp)
foreach(file quantize/loop/plan_run quantize/loop/block_loop quantize/loop/convert_piece quantize/loop/weight_reader
             quantize/loop/weight_writer schemes/scheme_table schemes/decode_in_torchscript layouts/layout_table
             layouts/held_kinds layouts/stored_specs layouts/tables methods/method_table
             methods/minmax) # none that are hot
  list(REMOVE_ITEM loop_sources ${PROJECT_SOURCE_DIR}/src/${file}.cpp)
endforeach()
foreach(file quantize/job_parts quantize/write/input_identity containers/strided_read)
  list(APPEND loop_sources ${PROJECT_SOURCE_DIR}/src/${file}.cpp)
endforeach()

function(mono_quant_optimize_for_size target)
  if(NOT MONO_QUANT_SANITIZE)
    # For size GCC 12 takes optionals that were checked for uninitialised ones.
    target_compile_options(${target} PRIVATE "$<$<CONFIG:Release>:-Os;-Wno-maybe-uninitialized>")
  endif()
endfunction()

# Nothing here asks for types when it runs; their names, of every lambda that is handed on, are 2 % of the library.
function(mono_quant_leave_out_types target)
  if(NOT MONO_QUANT_SANITIZE)
    target_compile_options(${target} PRIVATE "$<$<CONFIG:Release>:-fno-rtti>")
  endif()
endfunction()

# Contraction changes codes: a multiply and an add are two roundings. On x86-64 only kernels have instructions that fuse them.
if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  add_compile_options(-ffp-contract=off)
endif()
set_source_files_properties(${kernel_sources} src/methods/ggml_rounding.cpp src/schemes/ggml/q4_k.cpp
  PROPERTIES COMPILE_OPTIONS "-O2;-ffp-contract=off" SKIP_PRECOMPILE_HEADERS ON)
# Its loops are over groups of 32, which GCC takes for too short.
set_property(SOURCE src/methods/ggml_rounding.cpp
  APPEND PROPERTY COMPILE_OPTIONS $<$<CXX_COMPILER_ID:GNU>:-fvect-cost-model=dynamic>)
# GCC 12 copies registers around each product otherwise: half the speed.
file(GLOB linear_sources CONFIGURE_DEPENDS src/linear/*.cpp)
set_source_files_properties(${linear_sources} PROPERTIES SKIP_PRECOMPILE_HEADERS ON
  COMPILE_OPTIONS "-O2;-ffp-contract=off;$<$<CXX_COMPILER_ID:GNU>:-fno-tree-pre>")

# Names that GCC makes unique in a process cannot be hidden in a static library.
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  add_compile_options(-fno-gnu-unique)
endif()
