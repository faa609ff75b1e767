// What the library asks of the operating system beyond the standard library, in two texts: posix.cpp, and
// windows.cpp with what there is on Windows.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <mutex>
#include <string>

namespace xtape::platform {

/// So many bytes at a multiple of `alignment`, a power of 2. Null where there is no memory.
void* allocate(std::size_t alignment, std::size_t bytes);
void release(void* block);

/// Sleeps while the number is `old`, until a wake of it. As std::atomic's own, which GCC 12 has on Linux
/// alone without a moment in which it misses a wake.
void wait(const std::atomic<std::uint32_t>& number, std::uint32_t old);
void wake_one(std::atomic<std::uint32_t>& number);
void wake_all(std::atomic<std::uint32_t>& number);

/// Functions to be called around each fork of the process, from now on: before it, and after it in the parent
/// and in the child. False where that cannot be had.
bool at_fork(void (*before)(), void (*in_parent)(), void (*in_child)());

/// Lets a process fork only while no other thread holds the mutex: the copy of it in the child would stay
/// locked. To be called once, when the library is loaded.
template <std::mutex& mutex>
bool hold_over_fork() {
  return at_fork([] { mutex.lock(); }, [] { mutex.unlock(); }, [] { mutex.unlock(); });
}

/// An empty file to be written as bytes, in place of what is at `path`; programs that are started do not
/// inherit it. Null, and errno, where that cannot be. It is not buffered: what fwrite() has taken is written.
std::FILE* create_file(const char* path);
/// Waits until what was written is on the disk. False, and errno, where that failed.
bool flush_to_disk(std::FILE* file);
/// The same for the names in a folder, where the system has that; without a word when it fails.
void flush_folder(const char* path);
/// Gives `from` the name `to`, at once, also where there is a file of that name. False and errno otherwise.
bool replace_file(const char* from, const char* to);

/// A number that no other running process has.
int process_id();
/// Sets a variable of the environment.
void set_environment(const char* name, const char* value);
/// Where what is written to it goes nowhere, as a file.
extern const char* const null_device;

/// What strtod() gives in the C locale, whatever the one of the program is; errno as by it.
double read_double(const char* text);

/// Columns of the terminal that a stream writes to; 0 where it writes elsewhere.
std::size_t terminal_width(std::FILE* stream);

/// What `program argument` writes, with `input` to read. Empty where it cannot be started, or is not done in
/// so many seconds, after which it is ended; and where programs are not started at all.
std::string output_of(const char* program, const char* argument, const std::string& input, double seconds);

}  // namespace xtape::platform
