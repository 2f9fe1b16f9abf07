// What is thrown of a damaged archive: the file, the record in it, and what is wrong there.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mnq {

/// "TITLE: record RECORD: WHAT"; the record is left out where it is empty. Texts out of the file are shortened and,
/// where they are no UTF-8, escaped. The subject is the record, else the file.
[[noreturn]] void fail_record(const std::string& title, std::string_view record, const std::string& what);

/// The same of a sound file that is not for us. Status: kUnsupported.
[[noreturn]] void refuse_record(const std::string& title, std::string_view record, const std::string& what,
                                const std::string& suggestion);

/// A text out of a file, fit for a message: at most 200 bytes of UTF-8 without control characters.
std::string shown(std::string_view text);

/// "a, b, c": as many of them as a report can bear, and how many more there are.
std::string joined(const std::vector<std::string>& names);

}  // namespace mnq
