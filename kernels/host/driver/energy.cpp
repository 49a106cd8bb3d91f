// NVIDIA's management library for the driver of the tests: a GPU on bus 17 that draws a joule each
// time it is asked.
#include <cstring>

namespace {
int begun = 0;
unsigned long long millijoules = 0;
char device;
constexpr int SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_FOUND = 6;
}  // namespace

extern "C" {
int nvmlInit_v2() {
  ++begun;
  return SUCCESS;
}
int nvmlShutdown() {
  if (begun == 0) return UNINITIALIZED;
  --begun;
  return SUCCESS;
}
int nvmlDeviceGetHandleByPciBusId_v2(const char* bus, void** found) {
  if (begun == 0) return UNINITIALIZED;
  if (std::strcmp(bus, "00000000:17:00.0") != 0) return NOT_FOUND;
  *found = &device;
  return SUCCESS;
}
int nvmlDeviceGetTotalEnergyConsumption(void* of, unsigned long long* energy) {
  if (begun == 0) return UNINITIALIZED;
  if (of != &device) return INVALID_ARGUMENT;
  *energy = millijoules += 1000;
  return SUCCESS;
}
}
