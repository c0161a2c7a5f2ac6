# scfx_add_kernels(PACKAGE <import package> NAME <stem> SOURCES <files...>)
#
# Builds the same sources once for every x86 level and installs them as
#   <package>/_lib/lib<stem>_<variant>.so      variant = baseline | avx2 | avx512
# scfx.execution.native.load picks the best one the running processor can execute, so one wheel is fast everywhere and never
# dies of SIGILL. On other architectures only `baseline` is built.
#
# Sources see SCFX_VARIANT_<VARIANT> defined, and XLA's FFI headers (shipped in jaxlib) on the include path.
#
# -DSCFX_VARIANTS="baseline;avx2" builds these variants only. -DSCFX_SANITIZE=ON (GCC or Clang) builds with
# AddressSanitizer and UndefinedBehaviorSanitizer, either of which ends the process at its first finding; `make sanitize`
# runs the kernel tests on such a build.
option(SCFX_SANITIZE "instrument the kernels with ASan and UBSan" OFF)

set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()

find_package(Python3 REQUIRED COMPONENTS Interpreter)
find_package(Threads REQUIRED)
execute_process(
  COMMAND ${Python3_EXECUTABLE} -c "import jaxlib, pathlib; print(pathlib.Path(jaxlib.__file__).parent / 'include')"
  OUTPUT_VARIABLE SCFX_XLA_INCLUDE OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE SCFX_XLA_FAILED)
if(SCFX_XLA_FAILED)
  message(FATAL_ERROR "jaxlib is needed at build time for XLA's FFI headers: pip install jaxlib")
endif()

# Relaxed floating point would let the compiler reorder sums by instruction set and break bit reproducibility.
set(SCFX_COMMON_FLAGS -O3 -fno-math-errno -fno-trapping-math -fvisibility=hidden -Wall -Wextra)
if(SCFX_SANITIZE)
  # -O1 keeps stack traces legible and the vector kernels quick to compile; no optimisation may remove a bad access.
  list(APPEND SCFX_COMMON_FLAGS -O1 -g1 -fno-omit-frame-pointer -fsanitize=address,undefined
    -fno-sanitize-recover=undefined)
endif()
set(SCFX_FLAGS_baseline "")
set(SCFX_FLAGS_avx2 -mavx2 -mfma)
set(SCFX_FLAGS_avx512 -mavx512f -mavx512dq -mavx512bw -mavx512vl -mavx2 -mfma -mprefer-vector-width=512)
if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set(SCFX_VARIANTS baseline)
elseif(NOT SCFX_VARIANTS)
  set(SCFX_VARIANTS baseline avx2 avx512)
endif()

function(scfx_add_kernels)
  cmake_parse_arguments(ARG "" "PACKAGE;NAME" "SOURCES" ${ARGN})
  foreach(variant ${SCFX_VARIANTS})
    string(TOUPPER ${variant} upper)
    set(target ${ARG_NAME}_${variant})
    add_library(${target} SHARED ${ARG_SOURCES})
    target_compile_options(${target} PRIVATE ${SCFX_COMMON_FLAGS} ${SCFX_FLAGS_${variant}})
    target_compile_definitions(${target} PRIVATE SCFX_VARIANT_${upper}=1)
    target_include_directories(${target} SYSTEM PRIVATE ${SCFX_XLA_INCLUDE})
    target_link_libraries(${target} PRIVATE Threads::Threads)
    if(SCFX_SANITIZE)
      target_link_options(${target} PRIVATE -fsanitize=address,undefined)
    endif()
    install(TARGETS ${target} LIBRARY DESTINATION ${ARG_PACKAGE}/_lib)
  endforeach()
endfunction()
