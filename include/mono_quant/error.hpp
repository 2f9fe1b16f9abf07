// error.hpp - part of mono_quant.hpp: what failures throw.
#ifndef MONO_QUANT_ERROR_HPP
#define MONO_QUANT_ERROR_HPP

#include <stdexcept>
#include <string>
#include <utility>

#include "mono_quant.h"

namespace mono_quant {

/// What went wrong. what() is the message.
class Error : public std::runtime_error {
 public:
  Error(mnq_status code, const std::string& message, std::string suggestion, std::string subject)
      : std::runtime_error(message), code_(code), suggestion_(std::move(suggestion)), subject_(std::move(subject)) {}

  mnq_status code() const noexcept { return code_; }
  const std::string& suggestion() const noexcept { return suggestion_; }  ///< what to do about it; may be empty
  const std::string& subject() const noexcept { return subject_; }        ///< the file, tensor, layer or key at fault

 private:
  mnq_status code_;
  std::string suggestion_;
  std::string subject_;
};

}  // namespace mono_quant

#endif  // MONO_QUANT_ERROR_HPP
