// Certificates, the folder they lie in, and files that hold secrets.
#include "program/certificates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "certs_cases.h"
#include "program/peer.h"
#include "program/run_directory.h"
#include "spec/error.h"

namespace flowloom {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

template <class Work>
Error refused(Work work) {
  try {
    work();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "nothing was refused";
  return Error(ErrorCode::kInternal, "");
}

TEST(Certificate, IsForTheHostsItWasMadeForAndNoOther) {
  const KeyPair authority = make_authority("test", authority_validity());
  const KeyPair pair = make_server_certificate(
      authority, {"node07.example.org", "10.0.0.5", "fd00::1", "*.gpu.example.org"}, certificate_validity());
  EXPECT_THAT(read_certificate(pair.certificate, "it").hosts,
              ElementsAre("node07.example.org", "10.0.0.5", "fd00::1", "*.gpu.example.org"));
  for (const char* host :
       {"node07.example.org", "NODE07.example.org", "10.0.0.5", "fd00::1", "fd00:0::1", "a.gpu.example.org"}) {
    EXPECT_TRUE(is_for_host(pair.certificate, host)) << host;
  }
  for (const char* host :
       {"node08.example.org", "10.0.0.50", "fd00::2", "gpu.example.org", "a.b.gpu.example.org", ""}) {
    EXPECT_FALSE(is_for_host(pair.certificate, host)) << host;
  }
}

TEST(Certificate, IsNotMadeForWhatIsNoHost) {
  const KeyPair authority = make_authority("test", authority_validity());
  for (const char* host : {"", "a b", "10.0.0.5:4000", "a,DNS:b", "http://a", "a..b", "-a", "*.", "a/b"}) {
    const Error error = refused([&] { make_server_certificate(authority, {host}, certificate_validity()); });
    EXPECT_EQ(error.code(), ErrorCode::kInvalidInput) << host;
  }
}

TEST(Certificate, BelongsToItsKeyAlone) {
  const KeyPair a = make_authority("a", authority_validity()), b = make_authority("b", authority_validity());
  EXPECT_TRUE(belong_together(a));
  EXPECT_FALSE(belong_together({a.certificate, b.key}));
  EXPECT_FALSE(belong_together({a.certificate, "no key"}));
  EXPECT_EQ(refused([&] { make_client_certificate({a.certificate, b.key}, "x", certificate_validity()); }).code(),
            ErrorCode::kInvalidInput);
}

TEST(Certificate, CountsForTwoYearsAndItsAuthorityForTen) {
  const auto now = std::chrono::system_clock::now();
  EXPECT_NEAR(std::chrono::duration<double>(certificate_validity().until - now).count() / 86400, 730, 1);
  EXPECT_NEAR(std::chrono::duration<double>(authority_validity().until - now).count() / 86400, 3652, 1);
  const Validity validity = certificate_validity();
  const KeyPair pair = make_authority("a", validity);
  EXPECT_EQ(date(read_certificate(pair.certificate, "it").until), date(validity.until));
}

TEST(TlsFolder, GivesACoordinatorTheCertificateForItsHost) {
  const Certs certs;
  certs.add_server("10.0.0.5", certificate_validity());
  EXPECT_TRUE(is_for_host(certs.server("10.0.0.5").certificate, "10.0.0.5"));
  EXPECT_TRUE(is_for_host(certs.server("127.0.0.1").certificate, "127.0.0.1"));
  const Error error = refused([&] { certs.server("10.0.0.6"); });
  EXPECT_EQ(error.code(), ErrorCode::kNotFound);
  EXPECT_THAT(error.what(), HasSubstr("but for 10.0.0.5, 127.0.0.1"));
  EXPECT_THAT(error.what(), HasSubstr("--host 10.0.0.6"));
}

TEST(TlsFolder, RefusesAnExpiredCertificateAndSaysWhatToDo) {
  const Certs certs;
  certs.add_server("127.0.0.1", Certs::past());
  EXPECT_THAT(refused([&] { certs.server(); }).what(), HasSubstr("let 'flowloom certs' make a new one"));
  certs.add_client(Certs::past());
  EXPECT_THAT(refused([&] { certs.folder.client_side(); }).what(), HasSubstr("expired on"));
}

TEST(TlsFolder, RefusesAKeyThatOthersCanReadOrOfAnotherCertificate) {
  const Certs certs;
  const auto key = TlsFolder::key_of(certs.folder.server("127.0.0.1"));
  std::filesystem::permissions(key, std::filesystem::perms(0640));
  EXPECT_EQ(refused([&] { certs.server(); }).code(), ErrorCode::kPermissionDenied);
  write_file_atomically(key, certs.authority.key, 0600);
  EXPECT_EQ(refused([&] { certs.server(); }).code(), ErrorCode::kCorrupt);
}

TEST(TlsFolder, NeedsAnAuthority) {
  const TemporaryDirectory empty;
  EXPECT_EQ(refused([&] { TlsFolder(empty.path()).client_side(); }).code(), ErrorCode::kNotFound);
}

TEST(Secret, IsReadOnlyIfNobodyElseCan) {
  const TemporaryDirectory folder;
  const auto file = folder / "token";
  write_file_atomically(file, "one\ntwo\n", 0600);
  EXPECT_THAT(read_tokens(file), ElementsAre("one", "two"));
  for (const unsigned mode : {0640u, 0604u, 0620u, 0602u, 0610u}) {
    std::filesystem::permissions(file, static_cast<std::filesystem::perms>(mode));
    EXPECT_EQ(refused([&] { read_secret(file); }).code(), ErrorCode::kPermissionDenied) << mode;
  }
  std::filesystem::permissions(file, std::filesystem::perms(0400));
  EXPECT_EQ(read_secret(file), "one\ntwo\n");
}

TEST(Secret, IsAFileThatIsThere) {
  const TemporaryDirectory folder;
  EXPECT_EQ(refused([&] { read_secret(folder / "none"); }).code(), ErrorCode::kNotFound);
  EXPECT_EQ(refused([&] { read_secret(folder.path()); }).code(), ErrorCode::kInvalidInput);
  write_file_atomically(folder / "empty", " \n", 0600);
  EXPECT_EQ(refused([&] { read_tokens(folder / "empty"); }).code(), ErrorCode::kCorrupt);
}

// ---------------------------------------------------------------------------------------------------- peers

Peer found(PeerOptions options) { return PeerFinder(std::move(options)).find(); }

TEST(SecurePeer, ShowsItsRolesTokenOrElseTheAdmins) {
  const Certs certs;
  const std::string address = "10.0.0.5:4000";
  for (const Role role : kRoles) {
    const Peer peer = found({.address = address, .tls = certs.folder.path(), .role = role});
    EXPECT_EQ(peer.token, Certs::token_of(role));
    EXPECT_EQ(peer.tls->authority, certs.authority.certificate);
  }
  std::filesystem::remove(certs.folder.token(Role::kWorker));
  EXPECT_EQ(found({.address = address, .tls = certs.folder.path(), .role = Role::kWorker}).token,
            Certs::token_of(Role::kAdmin));
  std::filesystem::remove(certs.folder.token(Role::kAdmin));
  EXPECT_THAT(refused([&] { found({.address = address, .tls = certs.folder.path(), .role = Role::kWorker}); }).what(),
              HasSubstr("worker.token"));
}

TEST(SecurePeer, NeedsTheRunDirectoryAlone) {
  const Certs certs;
  const RunDirectory run(certs.temporary.path() / "run");
  run.create();
  run.write_owner({"10.0.0.5:4000", "host", 17, 1, certs.authority.certificate});
  const Peer peer = found({.directory = run.path()});
  EXPECT_EQ(peer.token, run.token());
  EXPECT_EQ(peer.tls, (ClientTls{certs.authority.certificate, "", ""}));
  EXPECT_EQ(found({.directory = run.path(), .tls = certs.folder.path(), .role = Role::kTrainer}).token,
            Certs::token_of(Role::kTrainer));
}

TEST(SecurePeer, SpeaksToOthersThanLoopbackWithoutTlsOnlyIfThatIsAccepted) {
  const Certs certs;
  const RunDirectory run(certs.temporary.path() / "run");
  run.create();
  run.write_owner({"10.0.0.5:4000", "host", 17, 1});
  EXPECT_EQ(refused([&] { found({.directory = run.path()}); }).code(), ErrorCode::kInvalidInput);
  EXPECT_FALSE(found({.directory = run.path(), .insecure = true}).tls);
  // What is asked for by name is not given up because a file says otherwise.
  EXPECT_TRUE(found({.directory = run.path(), .insecure = true, .tls = certs.folder.path()}).tls);
}

TEST(SecurePeer, DoesNotBelieveAnAnnouncementThatOthersCanChange) {
  const TemporaryDirectory temporary;
  const RunDirectory run(temporary / "run");
  run.create();
  run.write_owner({"127.0.0.1:4000", "host", 17, 1});
  std::filesystem::permissions(run.owner_file(), std::filesystem::perms(0664));
  EXPECT_EQ(refused([&] { found({.directory = run.path()}); }).code(), ErrorCode::kPermissionDenied);
}

}  // namespace
}  // namespace flowloom
