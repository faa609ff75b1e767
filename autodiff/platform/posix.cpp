// See system.hpp: Linux, macOS and other systems with the calls of POSIX.
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <thread>

#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>
#if __has_include(<xlocale.h>)  // macOS
#include <xlocale.h>
#else
#include <locale.h>
#endif

#include "system.hpp"

extern char** environ;

namespace xtape::platform {

void* allocate(std::size_t alignment, std::size_t bytes) {
  void* block = nullptr;
  return posix_memalign(&block, alignment, bytes) == 0 ? block : nullptr;
}
void release(void* block) { std::free(block); }

void wait(const std::atomic<std::uint32_t>& number, std::uint32_t old) { number.wait(old); }
void wake_one(std::atomic<std::uint32_t>& number) { number.notify_one(); }
void wake_all(std::atomic<std::uint32_t>& number) { number.notify_all(); }

bool at_fork(void (*before)(), void (*in_parent)(), void (*in_child)()) {
  return pthread_atfork(before, in_parent, in_child) == 0;
}

std::FILE* create_file(const char* path) {
  const int descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor < 0) return nullptr;
  std::FILE* const file = fdopen(descriptor, "wb");
  if (!file) {
    const int error = errno;
    close(descriptor);
    unlink(path);
    errno = error;
    return nullptr;
  }
  std::setvbuf(file, nullptr, _IONBF, 0);
  return file;
}

bool flush_to_disk(std::FILE* file) { return fsync(fileno(file)) == 0; }

void flush_folder(const char* path) {
  const int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return;
  fsync(folder);
  close(folder);
}

bool replace_file(const char* from, const char* to) { return std::rename(from, to) == 0; }

int process_id() { return getpid(); }
void set_environment(const char* name, const char* value) { setenv(name, value, 1); }
const char* const null_device = "/dev/null";

double read_double(const char* text) {
  static const locale_t plain = newlocale(LC_ALL_MASK, "C", nullptr);
  return strtod_l(text, nullptr, plain);
}

std::size_t terminal_width(std::FILE* stream) {
  const int descriptor = fileno(stream);
  if (isatty(descriptor) == 0) return 0;
  winsize size{};
  return ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

std::string output_of(const char* program, const char* argument, const std::string& input, double seconds) {
  // Files instead of pipes: neither side waits for the other, and no signal comes of a process that does not
  // read. No shell: a name is a name.
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  using File = std::unique_ptr<std::FILE, Close>;
  const File in(std::tmpfile()), out(std::tmpfile());
  if (!in || !out || std::fwrite(input.data(), 1, input.size(), in.get()) != input.size()) return {};
  std::rewind(in.get());
  posix_spawn_file_actions_t actions;
  if (posix_spawn_file_actions_init(&actions) != 0) return {};
  std::string name = program, given = argument;
  char* const arguments[] = {name.data(), given.data(), nullptr};
  pid_t process = 0;
  const bool started =
      posix_spawn_file_actions_adddup2(&actions, fileno(in.get()), STDIN_FILENO) == 0 &&
      posix_spawn_file_actions_adddup2(&actions, fileno(out.get()), STDOUT_FILENO) == 0 &&
      posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, null_device, O_WRONLY, 0) == 0 &&
      posix_spawnp(&process, program, &actions, nullptr, arguments, environ) == 0;
  posix_spawn_file_actions_destroy(&actions);
  if (!started) return {};
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  int status = 0;
  while (waitpid(process, &status, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() > end) {
      kill(process, SIGKILL);
      waitpid(process, &status, 0);
      return {};
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  std::rewind(out.get());
  std::string text;
  char buffer[4096];
  while (const std::size_t n = std::fread(buffer, 1, sizeof buffer, out.get())) text.append(buffer, n);
  return text;
}

}  // namespace xtape::platform
