#!/bin/sh
# What only some compilers and systems have is in autodiff/platform: elsewhere there are no attributes and builtin functions
# of a compiler, and no headers and calls of POSIX or Windows.
# usage: platform.sh SOURCE
set -u
cd "$1" || exit 1
headers='unistd|fcntl|dlfcn|pthread|sched|spawn|dirent|termios|poll|io|direct|process|windows|sys/[a-z]+'
calls='getpid|setenv|putenv|isatty|ioctl|fsync|popen|pclose|fork|execv[pe]*|kill|mkstemp|posix_[a-z]+|strtod_l|newlocale|pthread_[a-z]+'
found=$(grep -rnE "__attribute__|__builtin_|__declspec|#include <($headers)(\.h)?>|(^|[^A-Za-z0-9_:.>\"])(::)?($calls)\(" \
  autodiff nn examples --include='*.hpp' --include='*.cpp' --include='*.inc' | grep -v '^autodiff/platform/')
[ -z "$found" ] && r='1 passed | 0 failed' || { echo "$found"; r='0 passed | 1 failed'; }
echo "[platform] test cases: 1 | $r"
[ -z "$found" ]
