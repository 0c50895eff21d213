#include "lstm.h"

namespace recurra {
namespace RECURRA_ISA {

template <class V> using Plain = Lstm<V, false>;
template <class V> using Coupled = Lstm<V, true>;

RECURRA_DEFINE(lstm, Plain)
RECURRA_DEFINE(lstm_coupled, Coupled)

}  // namespace RECURRA_ISA
}  // namespace recurra
