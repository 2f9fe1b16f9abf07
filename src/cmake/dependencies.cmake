# What is used and by whom; src/README.md says why each is worth it. fmt is compiled into one file; nlohmann/json and
# CLI11 are headers: oneTBB and zlib are all that is linked.
find_package(Threads REQUIRED)
set(ZLIB_USE_STATIC_LIBS ${MONO_QUANT_SELF_CONTAINED})
find_package(TBB REQUIRED)
find_package(ZLIB REQUIRED)
if(MONO_QUANT_SELF_CONTAINED)
  get_target_property(tbb_type TBB::tbb TYPE)
  if(NOT tbb_type STREQUAL STATIC_LIBRARY)
    message(FATAL_ERROR "MONO_QUANT_SELF_CONTAINED needs a static oneTBB, with position-independent code: name one with "
                        "TBB_DIR, and zlib's with ZLIB_ROOT. ./dev package builds both.")
  endif()
endif()
find_package(fmt REQUIRED)
find_package(nlohmann_json 3.11 REQUIRED)
add_library(mono_quant_dependencies INTERFACE)
target_include_directories(mono_quant_dependencies SYSTEM
  INTERFACE $<TARGET_PROPERTY:fmt::fmt-header-only,INTERFACE_INCLUDE_DIRECTORIES>
            $<TARGET_PROPERTY:nlohmann_json::nlohmann_json,INTERFACE_INCLUDE_DIRECTORIES>)
target_link_libraries(mono_quant_dependencies INTERFACE TBB::tbb ZLIB::ZLIB Threads::Threads)

if(MONO_QUANT_CLI)
  find_package(CLI11 REQUIRED)
  add_library(mono_quant_cli_dependencies INTERFACE)
  target_include_directories(mono_quant_cli_dependencies SYSTEM
    INTERFACE $<TARGET_PROPERTY:fmt::fmt-header-only,INTERFACE_INCLUDE_DIRECTORIES>)
  target_link_libraries(mono_quant_cli_dependencies INTERFACE CLI11::CLI11 nlohmann_json::nlohmann_json)
endif()
