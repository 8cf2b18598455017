# One static library a folder of src/. What a folder may include is what its library links: the table
# of docs/architecture.md, in a form that the linker and tools/layers check.
#
#   sluice_layer(codec LAYERS tensor format tensorproto)
function(sluice_layer name)
  cmake_parse_arguments(A "" "" "LAYERS;LIBS;EXCLUDE" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${name}/*.c
       ${CMAKE_CURRENT_SOURCE_DIR}/${name}/*.cc)
  foreach(pattern ${A_EXCLUDE})
    list(FILTER sources EXCLUDE REGEX ${pattern})
  endforeach()
  string(REPLACE "/" "_" target ${name})
  if(sources)
    add_library(sl_${target} STATIC ${sources})
    set(kind PUBLIC)
  else()
    add_library(sl_${target} INTERFACE)
    set(kind INTERFACE)
  endif()
  target_include_directories(sl_${target} ${kind} ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src
                             ${PROJECT_BINARY_DIR}/gen)
  if(NOT name STREQUAL "base")
    target_link_libraries(sl_${target} ${kind} sl_base)
  endif()
  foreach(layer ${A_LAYERS})
    target_link_libraries(sl_${target} ${kind} sl_${layer})
  endforeach()
  target_link_libraries(sl_${target} ${kind} ${A_LIBS})
endfunction()
