# Flags that every target gets. Presets choose SLUICE_SANITIZE (address, thread) and SLUICE_FUZZ.
set(SLUICE_SANITIZE "" CACHE STRING "address (with undefined), thread, or empty")
option(SLUICE_FUZZ "build the fuzz targets with libFuzzer (needs clang)" OFF)
option(SLUICE_COVERAGE "instrument for coverage" OFF)
option(SLUICE_FAULTS "let tests arm faults of a running server (base/fault.h)" OFF)

add_compile_options($<$<COMPILE_LANGUAGE:C>:-D_GNU_SOURCE=>) # glibc on Linux is the platform; g++ sets it itself
add_compile_options(-Wall -Wextra -Wshadow -Wpointer-arith -Wvla -fno-common -fno-math-errno)
add_compile_options($<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes> $<$<COMPILE_LANGUAGE:C>:-Wmissing-prototypes>
                    $<$<COMPILE_LANGUAGE:C>:-Werror=implicit-function-declaration>)
# Kernels are tuned with attributes of gcc, which builds the releases; clang (fuzzing) does without.
add_compile_options($<$<C_COMPILER_ID:Clang>:-Wno-unknown-attributes> $<$<C_COMPILER_ID:Clang>:-Wno-ignored-attributes>)
if(SLUICE_WERROR)
  add_compile_options(-Werror)
endif()
# Every build keeps its assertions. They are few and cheap, and most of them stand between hostile bytes and memory: to end
# is better than to go on.
foreach(flags CMAKE_C_FLAGS_RELEASE CMAKE_CXX_FLAGS_RELEASE CMAKE_C_FLAGS_RELWITHDEBINFO CMAKE_CXX_FLAGS_RELWITHDEBINFO)
  string(REPLACE "-DNDEBUG" "" ${flags} "${${flags}}")
endforeach()
if(SLUICE_SANITIZE STREQUAL "address")
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
elseif(SLUICE_SANITIZE STREQUAL "thread")
  add_compile_options(-fsanitize=thread -fno-omit-frame-pointer)
  add_link_options(-fsanitize=thread)
else()
  # Hardening where no sanitizer stands in its place. PIE: CMAKE_POSITION_INDEPENDENT_CODE and -pie.
  add_compile_options(-fstack-protector-strong -fstack-clash-protection $<$<CONFIG:Release>:-U_FORTIFY_SOURCE>
                      $<$<CONFIG:Release>:-D_FORTIFY_SOURCE=3>) # 3 is 2 where the compiler does not know it
  include(CheckCCompilerFlag)
  check_c_compiler_flag(-fcf-protection=full SLUICE_HAS_CF_PROTECTION) # x86 only
  if(SLUICE_HAS_CF_PROTECTION)
    add_compile_options(-fcf-protection=full)
  endif()
  add_link_options(-Wl,-z,relro,-z,now,-z,noexecstack -pie)
endif()
if(SLUICE_FAULTS)
  add_compile_definitions(SLUICE_FAULTS)
endif()
if(SLUICE_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
if(SLUICE_COVERAGE)
  add_compile_options(--coverage -fprofile-update=atomic) # counts of threads, too
  add_link_options(--coverage)
  # base/counts.h; where the counts are written is open to a process that has locked itself up.
  add_compile_definitions(SLUICE_COVERAGE="${PROJECT_BINARY_DIR}")
endif()
