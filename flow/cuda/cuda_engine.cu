// The lane engine on a GPU: a module, so that programs start without CUDA; opened by flow/engines.cc.
#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

#include "flow/cuda/device_model.h"
#include "flow/lanes/lanes_engine.h"
#include "flow/module.h"
#include "spec/error.h"

namespace flowloom::cuda {
namespace {

constexpr unsigned kThreads = 128;      // of a block: neighbouring samples of one item
constexpr Index kMostItems = 65535;     // of a grid's second direction
constexpr double kShareOfCache = 0.75;  // of the second-level cache, for one model's arrays (docs/lanes.md)
constexpr Index kWarp = 32;
constexpr int kLeastMajor = 8;  // of the compute capability; flow/cuda/CMakeLists.txt compiles from there on

void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  throw Error(ErrorCode::kInternal,
              std::string("The GPU failed at ") + what + ": " + cudaGetErrorString(status) +
                  (status == cudaErrorMemoryAllocation ? "; is another program using its memory?" : "."));
}

template <class Body>
__global__ void __launch_bounds__(kThreads) run(Index items, Index samples, Body body) {
  const Index sample = static_cast<Index>(blockIdx.x) * kThreads + threadIdx.x;
  if (sample >= samples) return;
  for (Index item = blockIdx.y; item < items; item += gridDim.y) body(item, sample);
}

class CudaDevice {
 public:
  explicit CudaDevice(int number) : number_(number) {
    check(cudaSetDevice(number), "its choice");
    int cache = 0;
    check(cudaDeviceGetAttribute(&cache, cudaDevAttrL2CacheSize, number), "asking for its properties");
    cache_ = static_cast<Index>(kShareOfCache * cache);
    check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "making a stream");
  }
  CudaDevice(CudaDevice&& other) noexcept
      : number_(other.number_), cache_(other.cache_), stream_(std::exchange(other.stream_, nullptr)) {}
  ~CudaDevice() {
    if (stream_) cudaStreamDestroy(stream_);
  }

  template <class T>
  class Array {
   public:
    Array() = default;
    explicit Array(std::size_t size) : size_(size) {
      if (size > 0) check(cudaMalloc(&data_, size * sizeof(T)), "allocating memory");
    }
    Array(Array&& other) noexcept { swap(other); }
    Array& operator=(Array&& other) noexcept {
      swap(other);
      return *this;
    }
    ~Array() { cudaFree(data_); }
    T* data() const { return data_; }
    std::size_t size() const { return size_; }

   private:
    void swap(Array& other) noexcept {
      std::swap(data_, other.data_);
      std::swap(size_, other.size_);
    }
    T* data_ = nullptr;
    std::size_t size_ = 0;
  };

  template <class T>
  Array<T> allocate(std::size_t count) {
    check(cudaSetDevice(number_), "its choice");
    return Array<T>(count);
  }
  template <class T>
  Array<T> upload(const std::vector<T>& values) {
    Array<T> array = allocate<T>(values.size());
    write(array, std::span<const T>(values));
    return array;
  }
  template <class T>
  void write(const Array<T>& array, std::span<const T> values) {
    check(cudaMemcpyAsync(array.data(), values.data(), values.size_bytes(), cudaMemcpyHostToDevice, stream_),
          "copying to it");
    check(cudaStreamSynchronize(stream_), "copying to it");
  }
  template <class T>
  void copy(const T* from, std::size_t count, const Array<T>& to) {
    check(cudaMemcpyAsync(to.data(), from, count * sizeof(T), cudaMemcpyDeviceToDevice, stream_), "copying");
  }
  template <class T>
  std::vector<T> download(const Array<T>& array, std::size_t count) {
    std::vector<T> values(count);
    check(cudaMemcpyAsync(values.data(), array.data(), count * sizeof(T), cudaMemcpyDeviceToHost, stream_),
          "copying from it");
    check(cudaStreamSynchronize(stream_), "a kernel");
    return values;
  }

  template <class Body>
  void for_each(Index items, Index samples, const Body& body) {
    if (items == 0 || samples == 0) return;
    check(cudaSetDevice(number_), "its choice");
    const dim3 grid(static_cast<unsigned>((samples + kThreads - 1) / kThreads),
                    static_cast<unsigned>(std::min(items, kMostItems)));
    run<<<grid, kThreads, 0, stream_>>>(items, samples, body);
    check(cudaGetLastError(), "a kernel's start");
  }

  // As many as the cache holds, in whole warps. Even one warp fills the GPU where a sample does not fit.
  Index batch(Index bytes_per_sample) {
    const Index warps = cache_ / (kWarp * bytes_per_sample);
    return kWarp * std::max<Index>(1, warps);
  }

 private:
  int number_;
  Index cache_ = 0;
  cudaStream_t stream_ = nullptr;
};

class CudaEngine final : public Engine {
 public:
  explicit CudaEngine(int number) : number_(number) {
    cudaDeviceProp properties{};
    check(cudaGetDeviceProperties(&properties, number), "asking for its properties");
    device_ = "cuda:" + std::to_string(number) + ", " + properties.name;
  }

  std::string name() const override { return "lanes"; }
  std::string build() const override { return kLanesBuild; }
  std::string device() const override { return device_; }

  std::unique_ptr<Model> model(const AnyTheory& any_theory, const AnyFlow& architecture,
                               std::span<const double> weights, Precision precision) const override {
    auto model = visit_both<std::unique_ptr<Model>>(
        any_theory, architecture,
        [&]<class Theory, class Architecture>(const Theory& theory, const Architecture& own) -> std::unique_ptr<Model> {
          const auto make = [&]<class Real>(Real) -> std::unique_ptr<Model> {
            using Flow = typename DeviceFlowOf<CudaDevice, Theory, Real, Architecture>::type;
            return std::make_unique<DeviceModel<CudaDevice, Theory, Flow>>(CudaDevice(number_), theory, own, weights);
          };
          return precision == Precision::kMixed ? make(float{}) : make(double{});
        });
    prove_bits(*model, *lanes_engine()->model(any_theory, architecture, weights, precision), device_);
    return model;
  }

  // Gradients are the CPU's: the same bits, and no kernels for them yet.
  std::unique_ptr<Objective> objective(const AnyTheory& theory, const AnyFlow& architecture,
                                       Precision precision) const override {
    return lanes_engine()->objective(theory, architecture, precision);
  }

 private:
  int number_;
  std::string device_;
};

int device_number(const std::string& device) {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  const std::string digits = device.substr(std::min(device.size(), std::string("cuda:").size()));
  const int number = std::stoi(digits);
  if (status != cudaSuccess || number >= count) {
    throw Error(ErrorCode::kNotFound,
                "There is no GPU \"" + device + "\" here (" +
                    (status != cudaSuccess ? cudaGetErrorString(status) : std::to_string(count) + " in all") +
                    "); use --device cpu, or a number below that of the GPUs.");
  }
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, number), "asking for its properties");
  if (properties.major < kLeastMajor) {
    throw Error(ErrorCode::kNotFound, std::string("The GPU ") + properties.name + " has compute capability " +
                                          std::to_string(properties.major) + "." + std::to_string(properties.minor) +
                                          ", this build begins with 8.0; use --device cpu.");
  }
  return number;
}

}  // namespace
}  // namespace flowloom::cuda

const char* flowloom_engine_interface() { return flowloom::kEngineInterface; }

flowloom::Engine* flowloom_engine_create(const char* device) {
  return std::make_unique<flowloom::cuda::CudaEngine>(flowloom::cuda::device_number(device)).release();
}
