#include "program/openssl.h"

#include <openssl/pem.h>

namespace flowloom::openssl {
namespace {

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return std::string(data, static_cast<std::size_t>(size));
}

}  // namespace

Certificate certificate_of(const std::string& pem) {
  const Bio bio(good(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), "reading"));
  Certificate certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  ERR_clear_error();
  return certificate;
}

Key key_of(const std::string& pem) {
  const Bio bio(good(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), "reading"));
  // Never asks a terminal for the password of a key that has one.
  const auto no_password = [](char*, int, int, void*) { return -1; };
  Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, nullptr));
  ERR_clear_error();
  return key;
}

std::string pem_of(X509* certificate) {
  const Bio bio(good(BIO_new(BIO_s_mem()), "writing a certificate"));
  good(PEM_write_bio_X509(bio.get(), certificate), "writing a certificate");
  return text_of(bio.get());
}

std::string pem_of(EVP_PKEY* key) {
  const Bio bio(good(BIO_new(BIO_s_mem()), "writing a key"));
  good(PEM_write_bio_PKCS8PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr), "writing a key");
  return text_of(bio.get());
}

}  // namespace flowloom::openssl
