// SPDX-License-Identifier: Apache-2.0
// Types, targets, devices, options.
#include <array>
#include <cstring>

#include "internal.hpp"
#include "poplar/DeviceManager.hpp"
#include "poplar/IPUModel.hpp"

namespace host_poplar {

std::size_t type_size(const Type &type) {
  switch (type.id()) {
  case Type::BOOL_ID:
  case Type::CHAR_ID:
  case Type::UNSIGNED_CHAR_ID:
  case Type::SIGNED_CHAR_ID: return 1;
  case Type::SHORT_ID:
  case Type::UNSIGNED_SHORT_ID:
  case Type::HALF_ID: return 2;
  case Type::INT_ID:
  case Type::UNSIGNED_INT_ID:
  case Type::FLOAT_ID: return 4;
  case Type::LONGLONG_ID:
  case Type::UNSIGNED_LONGLONG_ID: return 8;
  case Type::NONE: break;
  }
  throw poplar::type_error("an element type was never given (poplar::Type{}): use FLOAT, INT, UNSIGNED_INT, ...");
}

namespace {
template <class T> void print_as(std::ostream &os, const char *bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  if constexpr (sizeof(T) == 1) os << static_cast<int>(value);
  else os << value;
}

void print_element(std::ostream &os, const Type &type, const char *bytes) {
  switch (type.id()) {
  case Type::SIGNED_CHAR_ID:
  case Type::CHAR_ID: return print_as<signed char>(os, bytes);
  case Type::SHORT_ID: return print_as<short>(os, bytes);
  case Type::UNSIGNED_SHORT_ID: return print_as<unsigned short>(os, bytes);
  case Type::INT_ID: return print_as<int>(os, bytes);
  case Type::UNSIGNED_INT_ID: return print_as<unsigned>(os, bytes);
  case Type::LONGLONG_ID: return print_as<long long>(os, bytes);
  case Type::UNSIGNED_LONGLONG_ID: return print_as<unsigned long long>(os, bytes);
  case Type::FLOAT_ID: return print_as<float>(os, bytes);
  default: return print_as<unsigned char>(os, bytes);
  }
}

void print_dimension(std::ostream &os, const TensorImpl &t, std::size_t dimension, const char *&bytes) {
  if (dimension == t.shape.size()) {
    print_element(os, t.type, bytes);
    bytes += type_size(t.type);
    return;
  }
  os << "{";
  for (std::size_t i = 0; i < t.shape[dimension]; ++i) {
    if (i) os << ",";
    print_dimension(os, t, dimension + 1, bytes);
  }
  os << "}";
}
} // namespace

void print_elements(std::ostream &os, const TensorImpl &t, const char *bytes) { print_dimension(os, t, 0, bytes); }

Options parse_options(const poplar::OptionFlags &flags) {
  Options options;
  const auto boolean = [](const std::string &key, const std::string &value) {
    if (value == "true") return true;
    if (value == "false") return false;
    throw poplar::invalid_option(text("option ", key, " = \"", value, "\": give \"true\" or \"false\""));
  };
  for (const auto &[key, value] : flags) {
    const auto starts = [&key = key](const char *prefix) { return key.rfind(prefix, 0) == 0; };
    if (key == "debug.allowOutOfMemory") {
      options.allow_out_of_memory = boolean(key, value);
    } else if (key == "hostPoplar.poison") {
      options.poison = boolean(key, value);
    } else if (key == "hostPoplar.threads") {
      if (value.empty() || value.find_first_not_of("0123456789") != std::string::npos || value.size() > 4)
        throw poplar::invalid_option(text("option hostPoplar.threads = \"", value, "\": give a number, 0 for all"));
      options.threads = static_cast<unsigned>(std::stoul(value));
    } else if (!starts("debug.instrument") && !starts("autoReport.") && !starts("profiler.")) {
      throw poplar::invalid_option(
          text("unknown engine option \"", key, "\"; known here: debug.allowOutOfMemory, hostPoplar.poison, ",
               "hostPoplar.threads (and, without effect, debug.instrument*, autoReport.*, profiler.*)"));
    }
  }
  return options;
}

} // namespace host_poplar

namespace poplar {

std::string Type::toString() const {
  static const std::array<const char *, 13> names = {"none",      "bool",   "char", "uchar", "schar",
                                                     "short",     "ushort", "int",  "uint",  "longlong",
                                                     "ulonglong", "half",   "float"};
  return names.at(id_);
}
std::ostream &operator<<(std::ostream &os, const Type &t) { return os << t.toString(); }

std::string toString(TargetType t) {
  return t == TargetType::IPU ? "IPU" : t == TargetType::IPU_MODEL ? "IPU_MODEL" : "CPU";
}

std::string OptionFlags::at(StringRef option) const {
  const auto it = flags_.find(option.cloneAsString());
  if (it == flags_.end()) throw invalid_option("option \"" + option.cloneAsString() + "\" was not set");
  return it->second;
}

std::size_t Target::getTypeSize(const Type &type) const { return host_poplar::type_size(type); }

Target Target::createIPUTarget(unsigned numIPUs, unsigned tilesPerIPU, StringRef systemType,
                               const OptionFlags &opts) {
  (void)opts;
  IPUModel model(systemType.cloneAsString().c_str());
  model.numIPUs = numIPUs;
  model.tilesPerIPU = tilesPerIPU;
  return model.createDevice().getTarget();
}
Target Target::createIPUTarget(unsigned numIPUs, StringRef systemType, const OptionFlags &opts) {
  return createIPUTarget(numIPUs, 1472, systemType, opts);
}

IPUModel::IPUModel(const char *version) : IPUVersion(version) {
  if (IPUVersion != "ipu2")
    throw invalid_option("IPU version \"" + IPUVersion + "\": only \"ipu2\" (Mk2) is modelled");
}

Device IPUModel::createDevice(OptionFlags opts) const {
  (void)opts;
  if (numIPUs == 0 || tilesPerIPU == 0 || numWorkerContexts == 0 || memoryBytesPerTile == 0 ||
      exchangeBytesPerCycle == 0)
    throw invalid_option("IPUModel: numIPUs, tilesPerIPU, numWorkerContexts, memoryBytesPerTile and "
                         "exchangeBytesPerCycle must be positive");
  if (numWorkerContexts != 6)
    throw invalid_option(
        "IPUModel: numWorkerContexts must be 6, the number that MultiVertex::numWorkers() is compiled for");
  Target t;
  t.numIPUs_ = numIPUs;
  t.tilesPerIPU_ = tilesPerIPU;
  t.workers_ = numWorkerContexts;
  t.bytesPerTile_ = memoryBytesPerTile;
  t.exchangeBytesPerCycle_ = exchangeBytesPerCycle;
  t.clock_ = tileClockFrequency;
  return Device(t);
}

std::vector<Device> DeviceManager::getDevices(const OptionFlags &) const { return {}; }
std::vector<Device> DeviceManager::getDevices(TargetType, unsigned, const OptionFlags &) const { return {}; }

} // namespace poplar
