// The function table for hosts that dlopen, made from the list that the exports are made from.
#include "mono_quant.h"

namespace {

const mnq_api kTable = {
    sizeof(mnq_api),
    MNQ_ABI_VERSION,
#define MNQ_FUNCTION(name, version, result, parameters) mnq_##name,
#include "functions.inc"
#undef MNQ_FUNCTION
};

}  // namespace

const mnq_api* mnq_get_api(uint32_t version) noexcept {
  const bool same_major = version >> 16 == MNQ_ABI_VERSION_MAJOR;
  return same_major && (version & 0xFFFF) <= MNQ_ABI_VERSION_MINOR ? &kTable : nullptr;
}
