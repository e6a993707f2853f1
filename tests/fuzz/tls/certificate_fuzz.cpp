#include "fuzz/fuzz.h"
#include "tls/certificate.h"
#include "tls/certificate_request.h"
#include "tls/names.h"

using namespace holdfast::tls;

/// A chain that was read is read again from what is written of it; a request that is accepted has
/// one reading: it asks for something, and its names survive being written.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = to_text(data, size);
  if (const auto chain = parse_pem_chain(text, "input")) {
    claim(!chain->empty());
    const auto again = parse_pem_chain(to_pem(*chain), "again");
    claim(again.has_value() && again->size() == chain->size());
    for (std::size_t i = 0; i < chain->size(); ++i) {
      claim(fingerprint((*chain)[i].get()) == fingerprint((*again)[i].get()));
      claim(subject((*chain)[i].get()) == subject((*again)[i].get()));
      claim(names_of((*chain)[i].get()) == names_of((*again)[i].get()));
      validity_of((*chain)[i].get());
    }
  }
  (void)parse_der_chain({std::string{text}});
  (void)parse_pem_key(text, "input");
  if (const auto request = parse_certificate_request(text)) {
    claim(!request->names.empty() || !request->common_name.empty() ||
          request->organizations.empty());
    std::size_t others = 0;
    claim(names_of(general_names(request->names).get(), others) == request->names && others == 0);
  }
  return 0;
}
