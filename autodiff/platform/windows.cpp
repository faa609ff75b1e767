// See system.hpp: Windows, as MinGW-w64 knows it. There are no forks, and no programs are started: the pages
// of derivations take the library's own layout in place of Graphviz's.
#include <cerrno>
#include <cstdlib>

#include <cxxabi.h>

#include <io.h>
#include <locale.h>
#include <malloc.h>
#include <process.h>
#define WIN32_LEAN_AND_MEAN  // its further headers define small words
#include <windows.h>

#include "system.hpp"

namespace xtape::platform {
namespace {

// When a thread ends, GCC's library destroys its objects and frees the memory they are in, each of them for a
// key of threads, in the order in which the two keys were made. The key for objects is to be the first: it is
// made when the first object says that it is to be destroyed, and that is here, before all else.
struct FirstKey {
  FirstKey() {
    abi::__cxa_thread_atexit([](void*) {}, nullptr, nullptr);
  }
};
[[gnu::init_priority(101)]] FirstKey first_key;

}  // namespace

void* allocate(std::size_t alignment, std::size_t bytes) { return _aligned_malloc(bytes, alignment); }
void release(void* block) { _aligned_free(block); }

void wait(const std::atomic<std::uint32_t>& number, std::uint32_t old) {
  static_assert(sizeof number == sizeof old);
  while (number == old)
    WaitOnAddress(const_cast<std::atomic<std::uint32_t>*>(&number), &old, sizeof old, INFINITE);
}
void wake_one(std::atomic<std::uint32_t>& number) { WakeByAddressSingle(&number); }
void wake_all(std::atomic<std::uint32_t>& number) { WakeByAddressAll(&number); }

bool at_fork(void (*)(), void (*)(), void (*)()) { return false; }

std::FILE* create_file(const char* path) {
  std::FILE* const file = std::fopen(path, "wbN");  // N: not inherited
  if (file) std::setvbuf(file, nullptr, _IONBF, 0);
  return file;
}

bool flush_to_disk(std::FILE* file) { return _commit(_fileno(file)) == 0; }
void flush_folder(const char*) {}

bool replace_file(const char* from, const char* to) {
  if (MoveFileExA(from, to, MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH) != 0) return true;
  const DWORD error = GetLastError();
  errno = error == ERROR_ACCESS_DENIED || error == ERROR_SHARING_VIOLATION ? EACCES
          : error == ERROR_DISK_FULL                                       ? ENOSPC
                                                                           : EIO;
  return false;
}

int process_id() { return _getpid(); }
void set_environment(const char* name, const char* value) { _putenv_s(name, value); }
const char* const null_device = "NUL";

double read_double(const char* text) {
  static const _locale_t plain = _create_locale(LC_ALL, "C");
  return _strtod_l(text, nullptr, plain);
}

std::size_t terminal_width(std::FILE* stream) {
  if (_isatty(_fileno(stream)) == 0) return 0;
  CONSOLE_SCREEN_BUFFER_INFO info;
  const HANDLE console = reinterpret_cast<HANDLE>(_get_osfhandle(_fileno(stream)));
  if (GetConsoleScreenBufferInfo(console, &info) == 0) return 80;
  return static_cast<std::size_t>(info.srWindow.Right - info.srWindow.Left) + 1;
}

std::string output_of(const char*, const char*, const std::string&, double) { return {}; }

}  // namespace xtape::platform
