# mr_options: every target links this; it carries language level, warnings and sanitizers.
set(MR_SANITIZE "" CACHE STRING "Comma-separated -fsanitize= list")

add_library(mr_options INTERFACE)
target_compile_features(mr_options INTERFACE c_std_17)
target_compile_definitions(mr_options INTERFACE _POSIX_C_SOURCE=200809L _DEFAULT_SOURCE)
set(mr_warnings
  -Wall -Wextra -Wpedantic -Werror
  -Wswitch-enum -Wimplicit-fallthrough
  -Wshadow -Wconversion -Wcast-qual -Wundef -Wvla
  -Wstrict-prototypes -Wmissing-prototypes -Wformat=2)
target_compile_options(mr_options INTERFACE
  "$<$<COMPILE_LANGUAGE:C>:${mr_warnings}>"
  "$<$<COMPILE_LANG_AND_ID:C,Clang>:-Wcovered-switch-default>")
if(MR_SANITIZE)
  target_compile_options(mr_options INTERFACE
    -fsanitize=${MR_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(mr_options INTERFACE -fsanitize=${MR_SANITIZE})
endif()
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_C_FLAGS_RELEASE "-O2")
set(CMAKE_C_FLAGS_DEBUG "-O1 -g")
