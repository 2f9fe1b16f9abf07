#include "base/error.h"

namespace mnq {

Error::Error(Status status, std::string_view message, std::string_view suggestion, std::string_view subject)
    : status_(status), message_(message), suggestion_(suggestion), subject_(subject) {}

Error::Error(const Error&) = default;
Error::~Error() = default;

}  // namespace mnq
