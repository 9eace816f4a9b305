// What durable units are put through: a server, which it starts in a folder and ends, and producers that feed it
// without a pause.
//
// Every producer has a connection of its own and at most `kInFlight` units under way; a unit counts when the server has
// said that it is durable. The folder is empty at first and somebody else's to remove. One thread calls.
#pragma once

#include <atomic>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "client/child.h"

namespace flowloom {

inline constexpr int kProducers = 4;
inline constexpr std::size_t kInFlight =
    64;  // units of one producer; the transactions' size, where there are transactions
inline constexpr std::size_t kUnit = 1024;       // proposals
inline constexpr std::size_t kHeaderBytes = 32;  // of a unit: its number and what else goes with it
inline constexpr std::size_t kUnitBytes = kHeaderBytes + 6 * kUnit * sizeof(double);

class Contestant {
 public:
  virtual ~Contestant() = default;

  // Units that are durable, as the producers know. Throws what stopped a producer.
  virtual std::uint64_t durable() = 0;

  // Ends the producers, then asks the server how many units it has.
  virtual std::uint64_t stored() = 0;
};

// Its producers are threads here.
class Baseline : public Contestant {
 public:
  std::uint64_t durable() final;

 protected:
  void begin();  // last in a constructor
  void stop();   // first in `stored` and in a destructor

  // One producer: puts units until it is told to stop, and counts.
  virtual void produce(std::stop_token stop) = 0;

  // The next unit's bytes: into `bytes`, which holds one already.
  std::uint64_t number(std::span<char> bytes);
  void count(std::uint64_t units) { durable_ += units; }

 private:
  std::atomic<std::uint64_t> next_ = 0, durable_ = 0;
  std::mutex mutex_;
  std::exception_ptr error_;
  std::vector<std::jthread> threads_;
};

// A unit of normal numbers.
std::string unit_bytes();

// A program of the system, which does not outlive this process; ended in order by the destructor.
class Server {
 public:
  // `user`: whom it runs as if we are root; empty: as we do. `signal` ends it in order.
  Server(const std::string& user, const std::string& program, const std::vector<std::string>& arguments,
         const std::filesystem::path& folder, int signal);
  ~Server();

  // Tries until it is true; throws after a while, or when the server has ended.
  void await(const std::function<bool()>& connected);
  Exit wait() { return child_.wait(); }
  std::string last_words() const { return child_.last_words(); }

 private:
  std::string program_;
  int signal_;
  Child child_;
};

int free_port();

using Starter = std::unique_ptr<Contestant> (*)(const std::filesystem::path& folder);
std::unique_ptr<Contestant> start_postgresql(const std::filesystem::path& folder);
std::unique_ptr<Contestant> start_redis(const std::filesystem::path& folder);
std::unique_ptr<Contestant> start_nats(const std::filesystem::path& folder);

}  // namespace flowloom
