// What a folder's job is known by again, so that another run can go on with it.
#pragma once

#include <vector>

#include "base/text/json_text.h"
#include "config/config.h"
#include "plan/plan.h"

namespace mnq {

/// Hands over, piece by piece, everything but the input that decides the bytes of the shards, and which of them are
/// refused.
void describe_job(const Plan& plan, const std::vector<PlanSlice>& shards, const JobSettings& job,
                  const WriteText& write);

}  // namespace mnq
