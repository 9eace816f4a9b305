// A network between two programs of this machine: a TCP relay whose bytes take time.
//
//   client ──▶ relay ──(to: rate, delay)──▶ server
//   client ◀── relay ◀─(back: rate, delay)── server
//
// All connections of a relay share one line in each direction, as programs share a host's network card. A byte leaves
// when the line has carried those before it, and arrives `delay` later. What one connection has on its way is bounded,
// so a slow line pushes back on who writes. A line may also be a bad one: connections overtake each other, are cut, or
// fall silent.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

namespace flowloom {

struct Line {
  double bytes_per_second = 0;             // 0: no limit
  std::chrono::duration<double> delay{0};  // one way

  // What is wrong with it; every draw comes from `seed`, though which connection draws it is a matter of time.
  std::chrono::duration<double> jitter{
      0};                    // more delay, uniform, drawn for each read: the order holds in a connection only
  std::size_t fragment = 0;  // bytes arrive in pieces of 1 to this many; 0: as they were read
  double cut_after = 0;      // bytes on average until a connection is reset, in mid-message; 0: never
  double stall_after = 0;    // bytes on average until a connection carries no more this way, and stays open
  std::uint64_t seed = 1;
};

class Relay {
 public:
  // Serves on a free port of 127.0.0.1 until destroyed, on a thread of its own. `server`: "127.0.0.1:40123".
  Relay(const std::string& server, Line line);
  ~Relay();

  std::string address() const;

  // Since the beginning: from clients to the server, and back.
  std::uint64_t bytes_to() const;
  std::uint64_t bytes_back() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace flowloom
