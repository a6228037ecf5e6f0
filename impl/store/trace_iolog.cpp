// Reads fio's iolog: text, one operation a line, as --write_iolog writes it and --read_iolog reads it.
//
// Version 2: `NAME ACTION [OFFSET LENGTH]`. Version 3 puts a time stamp before each line, which is not used here.
#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <unordered_map>

#include "impl/store/trace_parts.hpp"

namespace page_map_lab {
namespace {

constexpr std::string_view blank = " \t\r";
constexpr std::size_t most_fields = 4;  // NAME ACTION OFFSET LENGTH

class LogReader {
public:
    LogReader(std::string_view bytes, const std::string& name) : bytes_(bytes), name_(name) {}

    Result<TraceParts> read() {
        while (next_line()) {
            const auto done = line_number_ == 1 ? read_heading() : read_line();
            if (!done) {
                return tl::unexpected(done.error());
            }
        }
        return std::move(parts_);
    }

private:
    struct Fields {
        std::array<std::string_view, most_fields + 2> text;  // room for a time stamp, and for one too many
        std::size_t count = 0;
    };

    tl::unexpected<Error> malformed(const std::string& what) const {
        return fail(ErrorCode::malformed, "trace '" + name_ + "' is malformed at line " + std::to_string(line_number_) +
                                              " (byte " + std::to_string(line_start_) + "): " + what +
                                              ": expected 'NAME ACTION [OFFSET LENGTH]' as fio writes it");
    }

    bool next_line() {
        if (position_ >= bytes_.size()) {
            return false;
        }
        line_start_ = position_;
        const std::size_t end = std::min(bytes_.find('\n', position_), bytes_.size());
        line_ = bytes_.substr(position_, end - position_);
        position_ = end + 1;
        ++line_number_;
        return true;
    }

    Status read_heading() {
        while (!line_.empty() && blank.find(line_.back()) != blank.npos) {
            line_.remove_suffix(1);
        }
        if (line_ == "fio version 2 iolog") {
            return {};
        }
        if (line_ == "fio version 3 iolog") {
            has_time_stamps_ = true;
            return {};
        }
        return malformed("a heading that is not of version 2 or 3");
    }

    Fields split() const {
        Fields fields;
        std::size_t place = 0;
        while (fields.count < fields.text.size()) {
            const std::size_t start = line_.find_first_not_of(blank, place);
            if (start == line_.npos) {
                break;
            }
            const std::size_t end = std::min(line_.find_first_of(blank, start), line_.size());
            fields.text[fields.count++] = line_.substr(start, end - start);
            place = end;
        }
        return fields;
    }

    static std::optional<std::uint64_t> number(std::string_view text) {
        std::uint64_t value = 0;
        const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
        return failure == std::errc{} && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
    }

    Status read_line() {
        Fields fields = split();
        if (fields.count == 0) {
            return {};
        }
        if (has_time_stamps_) {
            if (!number(fields.text[0])) {
                return malformed("a time stamp that is no number");
            }
            std::copy(fields.text.begin() + 1, fields.text.end(), fields.text.begin());
            --fields.count;
        }
        if (fields.count > most_fields) {
            return malformed("too many fields");
        }
        if (fields.count < 2) {
            return malformed("no action");
        }
        const auto file = file_of(fields.text[0]);
        if (!file) {
            return tl::unexpected(file.error());
        }
        return read_action(*file, fields);
    }

    Result<std::uint32_t> file_of(std::string_view file_name) {
        const auto found = files_.find(file_name);
        if (found != files_.end()) {
            return found->second;
        }
        if (files_.size() == Trace::max_files || file_name.size() > Trace::max_name_bytes ||
            file_name.find('\0') != file_name.npos) {
            return malformed("too many files, or a file name that is too long or holds a zero byte");
        }
        const auto file = static_cast<std::uint32_t>(files_.size());
        files_.emplace(file_name, file);
        parts_.file_names.emplace_back(file_name);
        return file;
    }

    Status read_action(std::uint32_t file, const Fields& fields) {
        const std::string_view action = fields.text[1];
        if (action == "add" || action == "open" || action == "close") {
            return {};
        }
        if (action == "wait" || action == "trim") {
            ++parts_.skipped_operations;
            return {};
        }
        if (action == "sync" || action == "datasync" || action == "sync_file_range") {
            return append({TraceOperation::Kind::sync, file, 0, 0});
        }
        if (action != "read" && action != "write") {
            return malformed("an unknown action");
        }
        const auto offset = number(fields.count > 2 ? fields.text[2] : std::string_view{});
        const auto length = number(fields.count > 3 ? fields.text[3] : std::string_view{});
        if (!offset || !length) {
            return malformed("an offset or a length that is missing or no number");
        }
        if (*length == 0 || *length > Trace::max_length_bytes || *offset > Trace::max_offset_bytes - *length) {
            return malformed("an offset or a length out of bounds");
        }
        return append({action == "read" ? TraceOperation::Kind::read : TraceOperation::Kind::write, file, *offset,
                       *length});
    }

    Status append(const TraceOperation& operation) {
        if (parts_.operations.size() == Trace::max_operations) {
            return malformed("more than " + std::to_string(Trace::max_operations) + " operations");
        }
        parts_.operations.push_back(operation);
        return {};
    }

    std::string_view bytes_;
    const std::string& name_;
    std::size_t position_ = 0;
    std::size_t line_start_ = 0;
    std::uint64_t line_number_ = 0;
    std::string_view line_;
    bool has_time_stamps_ = false;
    std::unordered_map<std::string_view, std::uint32_t> files_;
    TraceParts parts_;
};

}  // namespace

bool is_iolog(std::string_view bytes) { return bytes.starts_with("fio version "); }

Result<TraceParts> read_iolog(std::string_view bytes, const std::string& name) { return LogReader(bytes, name).read(); }

}  // namespace page_map_lab
