# libmono_quant.a: one object with all that the shared library has, oneTBB and zlib where that has them, too. Of its names
# only those of the C ABI are seen, so that a program may have a fmt or an oneTBB of its own beside it.
set(folder ${PROJECT_BINARY_DIR}/static)
file(STRINGS capi/mono_quant.map exports REGEX "^ *mnq_[a-z0-9_]+;")
list(TRANSFORM exports REPLACE "^ *(mnq_[a-z0-9_]+);.*" "\\1")
list(JOIN exports "\n" exports)
file(CONFIGURE OUTPUT ${folder}/exports CONTENT "${exports}\n" @ONLY)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS capi/mono_quant.map)

# Objects that are optimised as a whole are compiled here: what links the library needs no compiler that knows them. In
# one part, since GCC 12 fails at cutting what keeps its groups.
set(whole)
if(CMAKE_INTERPROCEDURAL_OPTIMIZATION)
  set(whole -flto -flto-partition=none -flinker-output=nolto-rel -fno-gnu-unique)
endif()
set(archives $<TARGET_FILE:mono_quant_core>)
set(static_needs stdc++ m pthread dl)
if(MONO_QUANT_SELF_CONTAINED)
  list(APPEND archives $<TARGET_FILE:TBB::tbb> ${ZLIB_LIBRARIES})
else()
  list(PREPEND static_needs tbb z)
endif()
add_custom_command(OUTPUT ${folder}/mono_quant.o
  COMMAND ${CMAKE_CXX_COMPILER} -r ${whole} -nostdlib -Wl,--force-group-allocation -o ${folder}/mono_quant.o
          $<TARGET_OBJECTS:mono_quant> ${archives}
  COMMAND ${CMAKE_OBJCOPY} --keep-global-symbols=${folder}/exports --strip-unneeded ${folder}/mono_quant.o
  DEPENDS mono_quant mono_quant_core $<TARGET_OBJECTS:mono_quant> ${folder}/exports
  COMMAND_EXPAND_LISTS VERBATIM)
set_source_files_properties(${folder}/mono_quant.o PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
add_library(mono_quant_static STATIC ${folder}/mono_quant.o)
add_library(mono_quant::mono_quant_static ALIAS mono_quant_static)
set_target_properties(mono_quant_static PROPERTIES OUTPUT_NAME mono_quant LINKER_LANGUAGE C
                                                   ARCHIVE_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib)
target_include_directories(mono_quant_static INTERFACE $<TARGET_PROPERTY:mono_quant,INTERFACE_INCLUDE_DIRECTORIES>)
target_link_libraries(mono_quant_static INTERFACE ${static_needs})
