// What a folder's job is known by again, so that another run can go on with it.
#pragma once

#include <string>
#include <vector>

#include "config/config.h"
#include "plan/plan.h"

namespace mnq {

/// Everything but the input that decides the bytes of the shards, and which of them are refused.
std::string describe_job(const Plan& plan, const std::vector<PlanSlice>& shards, const JobSettings& job);

}  // namespace mnq
