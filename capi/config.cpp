// Configs and runs: settings, and what belongs to one call.
#include <utility>

#include "config/config.h"
#include "config/config_table.h"
#include "guard.h"
#include "handles.h"

using namespace mnq;
using namespace mnq::capi;

mnq_status mnq_config_create(const char* json, mnq_config** out, mnq_error** error) noexcept {
  return guarded(error, [&] {
    clear(require(out, "out"));
    *out = new mnq_config{{}, json == nullptr ? Settings{} : parse_settings(json)};
  });
}

mnq_status mnq_config_set(mnq_config* config, const char* key, const char* value, mnq_error** error) noexcept {
  return guarded(error,
                 [&] { set_value(require(config, "config")->settings, require(key, "key"), require(value, "value")); });
}

mnq_status mnq_config_set_for_layers(mnq_config* config, const char* glob, const char* key, const char* value,
                                     mnq_error** error) noexcept {
  return guarded(error, [&] {
    set_value_for_layers(require(config, "config")->settings, require(glob, "glob"), require(key, "key"),
                         require(value, "value"));
  });
}

mnq_status mnq_config_resolve(const mnq_config* config, const mnq_run* run, const char* layer, const char* key,
                              mnq_buffer** value, const char** source, mnq_error** error) noexcept {
  return guarded(error, [&] {
    clear(require(value, "value"));
    const std::string weight = weight_name_from(text_or_empty(layer));
    FoundValue found = resolve_value(settings_of(config, run), layer_name_from(weight), require(key, "key"));
    *value = new_buffer(std::move(found.value));
    if (source != nullptr) *source = value_source_text(found.source).data();
  });
}

mnq_status mnq_config_list_keys(mnq_buffer** out, mnq_error** error) noexcept {
  return guarded(error, [&] {
    clear(require(out, "out"));
    *out = new_buffer(config_keys_json());
  });
}

mnq_status mnq_config_to_json(const mnq_config* config, mnq_buffer** out, mnq_error** error) noexcept {
  return guarded(error, [&] {
    clear(require(out, "out"));
    *out = new_buffer(settings_json(require(config, "config")->settings));
  });
}

mnq_status mnq_config_validate(const mnq_config* config, mnq_error** error) noexcept {
  return guarded(error, [&] {
    const Settings& settings = require(config, "config")->settings;
    validate_settings(Config(&settings, nullptr), settings);
  });
}

void mnq_config_free(mnq_config* config) noexcept { delete live(config); }

mnq_status mnq_run_create(mnq_run** out, mnq_error** error) noexcept {
  return guarded(error, [&] {
    clear(require(out, "out"));
    *out = new mnq_run;
  });
}

mnq_status mnq_run_set(mnq_run* run, const char* key, const char* value, mnq_error** error) noexcept {
  return guarded(error,
                 [&] { set_value(require(run, "run")->settings, require(key, "key"), require(value, "value")); });
}

mnq_status mnq_run_set_for_layers(mnq_run* run, const char* glob, const char* key, const char* value,
                                  mnq_error** error) noexcept {
  return guarded(error, [&] {
    set_value_for_layers(require(run, "run")->settings, require(glob, "glob"), require(key, "key"),
                         require(value, "value"));
  });
}

mnq_status mnq_run_set_progress(mnq_run* run, mnq_progress_fn callback, void* user, mnq_error** error) noexcept {
  return guarded(error, [&] {
    RunControl& control = require(run, "run")->control;
    if (callback == nullptr) return control.set_progress({});
    // A C++ host's callback may throw: that stops the job like any non-zero.
    control.set_progress([callback, user](std::uint64_t done, std::uint64_t total) noexcept {
      try {
        return callback(user, done, total) == 0;
      } catch (...) {
        return false;
      }
    });
  });
}

mnq_status mnq_run_set_observer(mnq_run* run, mnq_observer_fn callback, void* user, mnq_error** error) noexcept {
  return guarded(error, [&] {
    RunControl& control = require(run, "run")->control;
    if (callback == nullptr) return control.set_observer({});
    control.set_observer([callback, user](const TensorDone& done, std::size_t count) noexcept {
      try {
        return callback(user, done.index, count, done.layer.c_str(), done.action.data(), done.sqnr_db) == 0;
      } catch (...) {
        return false;
      }
    });
  });
}

mnq_status mnq_run_set_log_callback(mnq_run* run, mnq_log_fn callback, void* user, mnq_error** error) noexcept {
  return guarded(error, [&] {
    RunControl& control = require(run, "run")->control;
    if (callback == nullptr) return control.set_log({});
    control.set_log(
        [callback, user](LogLevel level, const std::string& message) { call_log(callback, user, level, message); });
  });
}

void mnq_run_cancel(mnq_run* run) noexcept {
  if (live(run) != nullptr) run->control.cancel();
}

void mnq_run_reset(mnq_run* run) noexcept {
  if (live(run) != nullptr) run->control.reset();
}

int32_t mnq_run_is_cancelled(const mnq_run* run) noexcept {
  return live(run) != nullptr && run->control.is_cancelled() ? 1 : 0;
}

void mnq_run_free(mnq_run* run) noexcept { delete live(run); }
