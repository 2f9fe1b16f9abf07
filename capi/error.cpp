// Errors and buffers.
#include <new>
#include <stdexcept>
#include <system_error>

#include "base/text/utf8.h"
#include "guard.h"
#include "handles.h"

namespace mnq::capi {
namespace {

// Made when the library is loaded: there is no memory for it when it is needed. Never freed.
mnq_error* const out_of_memory =
    new mnq_error{{}, Status::kOutOfMemory, "out of memory", "lower memory_budget or threads", ""};

mnq_status give_error(mnq_error** error, Status status, const std::string& message, const std::string& suggestion,
                      const std::string& subject) {
  if (error != nullptr)
    *error = new mnq_error{{}, status, valid_utf8(message), valid_utf8(suggestion), valid_utf8(subject)};
  return static_cast<mnq_status>(status);
}

mnq_status give_out_of_memory(mnq_error** error) noexcept {
  if (error != nullptr) *error = out_of_memory;
  return MNQ_E_OUT_OF_MEMORY;
}

mnq_status translate_exception(mnq_error** error) {
  try {
    throw;
  } catch (const Error& e) {
    return give_error(error, e.status(), e.message(), e.suggestion(), e.subject());
  } catch (const std::bad_alloc&) {
    return give_out_of_memory(error);
  } catch (const std::length_error&) {
    return give_out_of_memory(error);
  } catch (const std::system_error& e) {
    return give_error(error, Status::kIo, std::string("the operating system refused: ") + e.what(), "", "");
  } catch (const std::exception& e) {
    return give_error(error, Status::kInternal, std::string("a defect of the library: ") + e.what(),
                      "please report it with what led to it", "");
  } catch (...) {
    return give_error(error, Status::kInternal, "a defect of the library: an unknown exception",
                      "please report it with what led to it", "");
  }
}

}  // namespace

mnq_status report_exception(mnq_error** error) noexcept {
  try {
    return translate_exception(error);
  } catch (...) {
    return give_out_of_memory(error);
  }
}

void fail_dead(const char* name) {
  throw Error(Status::kInvalidArg, std::string(name) + " is a handle that was freed, or one of another kind",
              "keep a handle until the last call that uses it", name);
}

void fail_null(const char* name) {
  throw Error(Status::kInvalidArg, std::string(name) + " is NULL", "pass a pointer", name);
}

}  // namespace mnq::capi

using mnq::capi::live;

mnq_status mnq_error_code(const mnq_error* error) noexcept {
  return live(error) == nullptr ? MNQ_OK : static_cast<mnq_status>(error->status);
}
const char* mnq_error_message(const mnq_error* error) noexcept {
  return live(error) == nullptr ? "" : error->message.c_str();
}
const char* mnq_error_suggestion(const mnq_error* error) noexcept {
  return live(error) == nullptr ? "" : error->suggestion.c_str();
}
const char* mnq_error_subject(const mnq_error* error) noexcept {
  return live(error) == nullptr ? "" : error->subject.c_str();
}
void mnq_error_free(mnq_error* error) noexcept {
  if (error != mnq::capi::out_of_memory) delete live(error);
}

const char* mnq_buffer_data(const mnq_buffer* buffer) noexcept {
  return live(buffer) == nullptr ? nullptr : buffer->bytes.c_str();
}
size_t mnq_buffer_size(const mnq_buffer* buffer) noexcept { return live(buffer) == nullptr ? 0 : buffer->bytes.size(); }
void mnq_buffer_free(mnq_buffer* buffer) noexcept { delete live(buffer); }
