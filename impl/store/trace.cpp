#include "impl/store/trace.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <tuple>
#include <utility>

#include "impl/store/trace_parts.hpp"

namespace page_map_lab {
namespace {

class Descriptor {
public:
    explicit Descriptor(int number) : number_(number) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
        if (number_ >= 0) {
            ::close(number_);
        }
    }
    int number() const { return number_; }

private:
    int number_;
};

Result<std::string> read_file(const std::string& path) {
    const std::string trace = "trace '" + path + "'";
    // Not blocking, because opening a named pipe would wait for its other end before it could be refused.
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (file.number() < 0) {
        const int number = errno;
        if (number == EACCES || number == EPERM) {
            return fail(ErrorCode::denied, "cannot open " + trace + ": change its permissions", number);
        }
        if (number == EMFILE || number == ENFILE) {
            return fail(ErrorCode::system, "cannot open " + trace + ": raise the limit on open files (ulimit -n)", number);
        }
        return fail(ErrorCode::usage, "cannot open " + trace + ": check the path, or record one", number);
    }
    struct stat facts {};
    if (fstat(file.number(), &facts) != 0) {
        return fail(ErrorCode::io, "cannot read " + trace + ": check the device it is on", errno);
    }
    if (!S_ISREG(facts.st_mode)) {
        return fail(ErrorCode::usage, trace + " is not a regular file: name one that is");
    }
    if (static_cast<std::uint64_t>(facts.st_size) > Trace::max_trace_bytes) {
        return fail(ErrorCode::usage, trace + " has " + std::to_string(facts.st_size) + " bytes: record fewer than " +
                                          std::to_string(Trace::max_trace_bytes));
    }
    std::string bytes(static_cast<std::size_t>(facts.st_size), '\0');
    std::size_t done = 0;
    while (done < bytes.size()) {
        const ssize_t count = ::read(file.number(), bytes.data() + done, bytes.size() - done);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return fail(ErrorCode::io, "cannot read " + trace + ": check the device it is on", errno);
        }
        if (count == 0) {
            break;
        }
        done += static_cast<std::size_t>(count);
    }
    bytes.resize(done);
    return bytes;
}

// Counts the distinct pages of each file by merging the operations' ranges, so that a huge sparse file costs no more
// than a small one.
void count_pages_touched(std::span<const TraceOperation> operations, std::vector<TraceFile>& files) {
    struct Touched {
        std::uint32_t file;
        PageIndex first;
        PageIndex end;
    };
    std::vector<Touched> all;
    all.reserve(operations.size());
    for (const TraceOperation& operation : operations) {
        const PageRange pages = operation.pages();
        if (!pages.empty()) {
            all.push_back({operation.file, pages.first, pages.end()});
        }
    }
    std::sort(all.begin(), all.end(), [](const Touched& left, const Touched& right) {
        return std::tie(left.file, left.first) < std::tie(right.file, right.first);
    });
    std::uint32_t file = 0;
    PageIndex counted_to = 0;
    for (const Touched& touched : all) {
        counted_to = touched.file == file ? counted_to : 0;
        file = touched.file;
        if (touched.end > counted_to) {
            files[file].pages_touched += touched.end - std::max(touched.first, counted_to);
            counted_to = touched.end;
        }
    }
}

}  // namespace

Result<Trace> Trace::load(const std::string& path) {
    return read_file(path).and_then([&](const std::string& bytes) { return parse(bytes, path); });
}

Result<Trace> Trace::parse(std::string_view bytes, const std::string& name) {
    if (!is_binary_trace(bytes) && !is_iolog(bytes)) {
        return fail(ErrorCode::malformed, "trace '" + name + "' is malformed at byte 0: it is neither a trace of "
                                          "'lab record' nor fio's iolog: record one with 'lab record -- COMMAND'");
    }
    auto parts = is_binary_trace(bytes) ? read_binary_trace(bytes, name) : read_iolog(bytes, name);
    if (!parts) {
        return tl::unexpected(parts.error());
    }
    auto trace = make(std::move(parts->file_names), std::move(parts->operations), name);
    if (trace) {
        trace->skipped_operations_ = parts->skipped_operations;
    }
    return trace;
}

Result<Trace> Trace::make(std::vector<std::string> file_names, std::vector<TraceOperation> operations,
                          const std::string& name) {
    Trace trace;
    if (file_names.size() > max_files) {
        return fail(ErrorCode::malformed, "trace '" + name + "' has " + std::to_string(file_names.size()) +
                                              " files: it may have " + std::to_string(max_files));
    }
    for (std::string& file_name : file_names) {
        trace.files_.push_back({std::move(file_name)});
    }
    for (std::size_t position = 0; position < operations.size(); ++position) {
        const TraceOperation& operation = operations[position];
        const bool moves = operation.kind != TraceOperation::Kind::sync;
        const bool valid = operation.file < trace.files_.size() && operation.kind <= TraceOperation::Kind::sync &&
                           (moves ? operation.length_bytes > 0 && operation.length_bytes <= max_length_bytes &&
                                        operation.offset_bytes <= max_offset_bytes - operation.length_bytes
                                  : operation.length_bytes == 0 && operation.offset_bytes == 0);
        if (!valid) {
            return fail(ErrorCode::malformed, "trace '" + name + "' is malformed at operation " +
                                                  std::to_string(position) +
                                                  ": its file, offset or length is out of bounds");
        }
        TraceFile& file = trace.files_[operation.file];
        file.size_pages = std::max(file.size_pages, operation.pages().end());
        trace.page_accesses_ += operation.pages().count;
    }
    if (trace.page_accesses_ == 0) {
        return fail(ErrorCode::malformed,
                    "trace '" + name + "' holds no read and no write: record a program that has some");
    }
    count_pages_touched(operations, trace.files_);
    for (TraceFile& file : trace.files_) {
        file.first_page = trace.total_pages_;
        trace.total_pages_ += file.size_pages;
        trace.pages_touched_ += file.pages_touched;
    }
    trace.operations_ = std::move(operations);
    return trace;
}

}  // namespace page_map_lab
