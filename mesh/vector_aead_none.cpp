#include "mesh/vector_aead.hpp"

// Built without Intel's Multi-Buffer Crypto library, which is for x86-64 alone.
namespace mesh {

struct VectorAead::Key {};

std::unique_ptr<VectorAead> VectorAead::make(Cipher, const SymmetricKey&) { return nullptr; }
VectorAead::VectorAead(std::unique_ptr<Key> key) : key_(std::move(key)) {}
VectorAead::~VectorAead() = default;
void VectorAead::seal(const Nonce&, net::MutableBytes) const {}
bool VectorAead::open(const Nonce&, net::MutableBytes) const { return false; }

}  // namespace mesh
