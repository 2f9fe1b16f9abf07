# What Debian asks of each package besides its files: copyright, changelog, manual pages compressed. Run by cpack once
# all is staged, a folder a component.
if(NOT CPACK_GENERATOR STREQUAL DEB)
  return()
endif()

string(TIMESTAMP date "%a, %d %b %Y %H:%M:%S +0000" UTC) # of SOURCE_DATE_EPOCH, where that is set
string(CONCAT changelog "${CPACK_PACKAGE_NAME} (${CPACK_PACKAGE_VERSION}) unstable; urgency=medium\n\n"
       "  * Release ${CPACK_PACKAGE_VERSION}.\n\n -- ${CPACK_PACKAGE_CONTACT}  ${date}\n")
foreach(component IN LISTS CPACK_COMPONENTS_ALL)
  set(folder ${CPACK_TEMPORARY_INSTALL_DIRECTORY}/${component}/usr)
  string(TOUPPER ${component} name)
  set(documents ${folder}/share/doc/${CPACK_DEBIAN_${name}_PACKAGE_NAME})
  file(WRITE ${documents}/changelog "${changelog}")
  file(COPY_FILE ${CPACK_MONO_QUANT_COPYRIGHT} ${documents}/copyright)
  file(GLOB to_compress ${folder}/share/man/man1/*.1)
  execute_process(COMMAND gzip -9nf ${to_compress} ${documents}/changelog COMMAND_ERROR_IS_FATAL ANY)
endforeach()
