// The whole library in one C++20 program; what each line says is in the README of all languages.
//
//     cmake -B build && cmake --build build && build/tour model.safetensors model-int4.safetensors bits=4 group_size=128
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <mono_quant/mono_quant.hpp>
#include <mutex>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace {

namespace mq = mono_quant;
using Bytes = std::vector<std::byte>;

struct Options {
  std::filesystem::path input, output;
  std::vector<std::string> settings;
  std::optional<std::pair<std::filesystem::path, std::filesystem::path>> digits;  // a module and images
};

std::string shape_text(std::span<const std::int64_t> shape) {
  std::string text;
  for (const std::int64_t size : shape) text += (text.empty() ? "" : ", ") + std::to_string(size);
  return "[" + text + "]";
}

std::string tensor_text(const mq::Tensor& tensor) {
  return mq::dtype_name(tensor.dtype()) + " " + shape_text(tensor.shape());
}

std::string sqnr_text(const mq::Report& report) {
  const std::optional<double> sqnr_db = report.number("sqnr_db");
  if (!sqnr_db) return "none";
  if (std::isinf(*sqnr_db)) return "exact";
  char text[32];
  std::snprintf(text, sizeof text, "%.2f dB", *sqnr_db);
  return text;
}

void set_options(const std::vector<std::string>& settings, mq::Config& config, mq::Run& run) {
  for (const std::string& setting : settings) {
    const auto equals = setting.find('=');
    const std::string key = setting.substr(0, equals), value = setting.substr(equals + 1);
    if (key.starts_with("call:")) {
      run.set(key.substr(5), value);
    } else {
      config.set(key, value);
    }
  }
}

// Prints the layers, and gives back the first that is quantized.
std::optional<mq::Layer> list_layers(const mq::Model& model, const mq::Config& config, const mq::Run& run) {
  std::optional<mq::Layer> first;
  for (const mq::Layer& layer : model.layers(&config, &run)) {
    if (layer.kind.empty()) continue;
    if (!first && layer.action == "quantize") first = layer;
    std::cout << "layer " << layer.name << ' ' << layer.kind << ' ' << shape_text(layer.shape) << ' '
              << (layer.action == "copy" ? "as it is: " + layer.reason : layer.scheme) << '\n';
  }
  return first;
}

void print_settings(const mq::Config& config, const mq::Run& run) {
  for (const std::string key : {"dtype", "bits", "group_size", "symmetric", "threads"}) {
    const auto [value, source] = mq::resolve(config, key, {}, &run);
    if (key == "threads" && source == "default") continue;  // a matter of the machine
    std::cout << "setting " << key << " = " << value << " (" << source << ")\n";
  }
}

mq::Model quantize_watched(const mq::Model& model, const mq::Config& config, mq::Run& run) {
  std::size_t quantized = 0, copied = 0;
  std::vector<std::uint64_t> progress;
  run.set_observer([&](const mq::Run::TensorDone& done) {
    ++(std::string_view(done.action) == "copy" ? copied : quantized);
    return true;
  });
  run.set_progress([&](std::uint64_t done_bytes, std::uint64_t) {
    progress.push_back(done_bytes);
    return true;
  });
  auto [result, report] = mq::quantize(model, config, &run);
  run.set_observer(nullptr).set_progress(nullptr);
  std::cout << "events " << quantized << " quantized, " << copied << " copied\n"
            << "progress " << progress.front() << " to " << progress.back() << '\n'
            << "report " << static_cast<std::uint64_t>(report.number("bytes_before").value()) << " to "
            << static_cast<std::uint64_t>(report.number("bytes_after").value()) << " bytes, SQNR " << sqnr_text(report)
            << ", " << report.warnings().size() << " warnings\n";
  return std::move(result);
}

// Reads a part of a file; a stream has one position, so that threads take turns.
class File {
 public:
  explicit File(const std::filesystem::path& path)
      : size_(std::filesystem::file_size(path)), stream_(path, std::ios::binary) {}

  std::uint64_t size() const { return size_; }
  void read(std::uint64_t offset, std::span<std::byte> into) {
    const std::lock_guard lock(mutex_);
    stream_.seekg(static_cast<std::streamoff>(offset));
    stream_.read(reinterpret_cast<char*>(into.data()), static_cast<std::streamsize>(into.size()));
    if (!stream_) throw std::runtime_error("the file cannot be read");
  }
  Bytes read_all() {
    Bytes bytes(size_);
    read(0, bytes);
    return bytes;
  }

 private:
  std::uint64_t size_;
  std::ifstream stream_;
  std::mutex mutex_;
};

// What a model's file would hold, by the program's own output.
Bytes save_to_memory(const mq::Model& model, const std::string& format) {
  Bytes bytes;
  mq::Run run;
  run.set("format", format).set("threads", 1);  // so that one thread at a time writes
  mq::Writer writer({.write =
                         [&](std::uint64_t offset, std::span<const std::byte> data) {
                           if (bytes.size() < offset + data.size()) bytes.resize(offset + data.size());
                           std::copy(data.begin(), data.end(), bytes.begin() + static_cast<std::ptrdiff_t>(offset));
                         },
                     .commit = [&](std::uint64_t size) { bytes.resize(size); }});
  model.save(writer, &run);
  return bytes;
}

void use_streams(const mq::Model& model, const std::filesystem::path& path, const std::string& format) {
  File file(path);
  std::cout << "writer " << (save_to_memory(model, format) == file.read_all() ? "the same" : "other") << " bytes\n";
  const mq::Reader reader(file.size(),
                          [&](std::uint64_t offset, std::span<std::byte> into) { file.read(offset, into); });
  std::cout << "reader " << mq::Model::open(reader).tensor_names().size() << " tensors\n";
}

void save(const mq::Model& model, const std::filesystem::path& path, mq::Run& run) {
  model.save(path, &run);
  const std::string format = mq::detect_format(path);
  if (std::filesystem::is_directory(path)) {
    std::cout << "saved a folder, format " << format << '\n';
  } else {
    std::cout << "saved " << std::filesystem::file_size(path) << " bytes, format " << format << '\n';
    use_streams(model, path, format);
  }
}

void print_difference(const mq::Model& model, const mq::Model& saved) {
  const mq::Report report = mq::compare(model, mq::dequantize(saved).model);
  const auto layers = report.layers();
  const auto differs = [](const mq::ReportLayer& layer) {
    return !std::isinf(layer.number("sqnr_db").value_or(INFINITY));
  };
  std::cout << "back SQNR " << sqnr_text(report) << ", " << std::count_if(layers.begin(), layers.end(), differs)
            << " tensors differ\n";
}

void quantize_alone(const mq::Model& model, const mq::Layer& layer, const mq::Config& config, mq::Run& run) {
  const auto [parts, report] = mq::quantize_tensor(model.tensor(layer.tensor), layer.tensor, layer.kind, config, &run);
  std::size_t count = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) count += parts.kind(i) == MNQ_VALUE_TENSOR;
  std::cout << "alone " << layer.name << ' ' << count << " parts, SQNR " << sqnr_text(report) << ", restored "
            << tensor_text(mq::dequantize_tensor(parts)) << '\n';
}

// A row of activations, made up, through the layer in integers. Not every layer can be run so: the status says it.
std::string linear_text(const mq::Model& saved, const mq::Layer& layer) try {
  const mq::Linear linear(saved, layer.name);
  std::vector<float> row(static_cast<std::size_t>(layer.shape[1]));
  for (std::size_t i = 0; i < row.size(); ++i) row[i] = (static_cast<float>(i % 7) - 3) / 4;
  const mq::Tensor outputs = linear.run(mq::Tensor::copy<float>(std::vector<std::int64_t>{1, layer.shape[1]}, row));
  char first[16];
  std::snprintf(first, sizeof first, "0x%08x", std::bit_cast<std::uint32_t>(outputs.values<float>().front()));
  return std::to_string(outputs.shape()[1]) + " outputs, first " + first;
} catch (const mq::Error& error) {
  return mq::status_name(error.code());
}

// The name of the status that comes of a call which must not succeed.
template <class Call>
std::string status_of(const Call& call) {
  try {
    call();
    return "OK";
  } catch (const mq::Error& error) {
    return mq::status_name(error.code());
  }
}

// What a callback throws comes out of the call.
void throw_out(const mq::Model& model, const mq::Config& config) {
  struct Enough {};
  mq::Run run;
  run.set_progress([](std::uint64_t, std::uint64_t) -> bool { throw Enough(); });
  try {
    mq::quantize(model, config, &run);
  } catch (const Enough&) {
    return;
  }
  throw std::logic_error("what a callback threw was lost");
}

void cancel(const mq::Model& model, const mq::Config& config) {
  throw_out(model, config);
  mq::Run run;
  run.set_progress([](std::uint64_t, std::uint64_t) { return false; });
  std::cout << "cancelled " << status_of([&] { mq::quantize(model, config, &run); }) << '\n';
}

// The first image, 0 to 16, as the module wants it: floats from 0 to 1.
mq::Tensor read_image(const std::filesystem::path& path) {
  const mq::Tensor images = mq::Model::open(path).tensor("images");
  const auto pixels = images.values<std::uint8_t>().first(64);
  std::vector<float> floats(pixels.size());
  std::transform(pixels.begin(), pixels.end(), floats.begin(), [](std::uint8_t pixel) { return float(pixel) / 16; });
  return mq::Tensor::copy<float>(std::vector<std::int64_t>{1, 1, 8, 8}, floats);
}

std::ptrdiff_t classify(const mq::Model& module, const mq::Tensor& image) {
  mq::Values inputs;
  inputs.add(image);
  const mq::Tensor output = module.forward(inputs).tensor(0);
  const auto scores = output.values<float>();
  return std::max_element(scores.begin(), scores.end()) - scores.begin();
}

void digits(const std::filesystem::path& module_path, const std::filesystem::path& images_path) {
  const mq::Tensor image = read_image(images_path);
  const mq::Model module = mq::Model::open(module_path);
  try {
    const auto of_floats = classify(module, image), of_codes = classify(mq::quantize(module).model, image);
    std::cout << "digits float " << of_floats << ", int8 " << of_codes << '\n';
  } catch (const mq::Error& error) {
    if (error.code() != MNQ_E_UNSUPPORTED) throw;
    std::cout << "digits UNSUPPORTED\n";  // LibTorch is not there
  }
}

void run_tour(const Options& options) {
  mq::Config config;
  mq::Run run;
  set_options(options.settings, config, run);
  std::cout << "mono_quant " << mq::version() << ", ABI " << (mq::abi_version() >> 16) << '.'
            << (mq::abi_version() & 0xffff) << '\n';
  const std::string format = mq::detect_format(options.input);
  const mq::Model model = mq::Model::open(options.input, run);
  std::cout << "input " << format << ", " << model.tensor_names().size() << " tensors\n";
  const std::optional<mq::Layer> layer = list_layers(model, config, run);
  print_settings(config, run);
  save(quantize_watched(model, config, run), options.output, run);
  const mq::Model saved = mq::Model::open(options.output);
  print_difference(model, saved);
  if (layer) {
    quantize_alone(model, *layer, config, run);
    std::cout << "one " << tensor_text(saved.weight(layer->tensor)) << '\n';
    std::cout << "linear " << linear_text(saved, *layer) << '\n';
  }
  cancel(model, config);
  std::cout << "missing " << status_of([&] { mq::Model::open(options.input.native() + ".missing"); }) << '\n';
  if (options.digits) digits(options.digits->first, options.digits->second);
}

std::optional<Options> read_arguments(std::span<char*> arguments) {
  if (arguments.size() < 3) return std::nullopt;
  Options options{arguments[1], arguments[2], {}, {}};
  for (std::size_t i = 3; i < arguments.size(); ++i) {
    const std::string argument = arguments[i];
    if (argument == "--digits" && i + 2 < arguments.size()) {
      options.digits = {arguments[i + 1], arguments[i + 2]};
      i += 2;
    } else if (argument.find('=') != std::string::npos) {
      options.settings.push_back(argument);
    } else {
      return std::nullopt;
    }
  }
  return options;
}

}  // namespace

int main(int count, char** arguments) {
  const auto options = read_arguments({arguments, static_cast<std::size_t>(count)});
  if (!options) {
    std::cerr << "usage: tour INPUT OUTPUT [KEY=VALUE ...] [call:KEY=VALUE ...] [--digits MODULE IMAGES]\n";
    return 2;
  }
  try {
    run_tour(*options);
    return 0;
  } catch (const mq::Error& error) {
    std::cerr << "tour: " << error.what() << '\n';
    if (!error.suggestion().empty()) std::cerr << error.suggestion() << '\n';
  } catch (const std::exception& error) {
    std::cerr << "tour: " << error.what() << '\n';
  }
  return 1;
}
