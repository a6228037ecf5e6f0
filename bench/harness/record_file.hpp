// Writing a record so that a reader sees all of it or none: FILE.partial, fsync, rename.
//
// Thread safety: plain functions; two processes that write the same FILE overwrite each other's.
#pragma once

#include <string>

#include "impl/core/error.hpp"

namespace page_map_lab::bench {

/// Whether `path` could be written, tried before anything is measured; leaves nothing behind.
/// Errors: usage, naming the path and the way out.
Status probe_record_file(const std::string& path);

/// Writes `text`. What exists and is no regular file (a pipe, a device) is written to directly. On an error the old
/// file is as it was, and no partial file is left. Errors: system, naming the path and the way out.
Status write_record_file(const std::string& path, const std::string& text);

}  // namespace page_map_lab::bench
