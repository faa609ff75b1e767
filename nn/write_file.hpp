// Files that are there whole or not at all, by the one process that writes them.
#pragma once
#include <functional>
#include <iosfwd>
#include <string>

namespace xtape::nn {

/// Writes what `content` prints as the file `path`: beside it first, flushed to the disk, then renamed, so
/// that at any moment there is either the old file or the new one. Errors name the path and what the system
/// says.
///
///     nn::write_file("history.csv", [&](std::ostream& file) { trainer.history.write_csv(file); });
void write_file(const std::string& path, const std::function<void(std::ostream&)>& content);

/// Whether this process writes files: without, write_file() and all that saves do nothing. mpi::Environment
/// leaves it to the first of several processes.
void set_writes_files(bool on);

}  // namespace xtape::nn
