// Tensors without torch's headers: torch gives their addresses through DLPack's C exchange table (torch.Tensor's
// `__dlpack_c_exchange_api__`), whose layout is a public standard. https://dmlc.github.io/dlpack/latest/c_api.html
#pragma once
#include <cstdint>

#include "object.h"

namespace recurra {

struct DLTensor {
    void* data;
    struct {
        int32_t type, id;
    } device;
    int32_t ndim;
    struct {
        uint8_t code, bits;
        uint16_t lanes;
    } dtype;
    int64_t *shape, *strides;
    uint64_t byte_offset;
};

struct DLExchange {
    struct {
        uint32_t major, minor;
    } version;
    void* earlier;
    void *allocate, *share, *wrap;  // not used here
    int (*view)(void* object, DLTensor* out);
};

// What the module was told of torch, see `attach` in binding.cpp.
struct Torch {
    PyObject *tensor, *is_neg, *empty_like, *empty;
    PyObject *small, *large;  // recurra.kernels.native: the same whatever torch's defaults are, and from the kernels' pool
    int (*view)(void* object, DLTensor* out);
};
extern Torch torch;

// Whether this is a float32 tensor on the CPU, told in `view`; what it points to lasts as long as the tensor.
inline bool float_view(PyObject* tensor, DLTensor* view) {
    if (torch.view(tensor, view) != 0) {
        PyErr_Clear();
        return false;
    }
    view->data = static_cast<char*>(view->data) + view->byte_offset;
    const bool on_cpu = view->device.type == 1, is_float = view->dtype.code == 2 && view->dtype.bits == 32;
    return on_cpu && is_float && view->dtype.lanes == 1 && (view->strides || view->ndim == 0);
}

// Where the numbers of a dense `[rows, columns]` lie; null where they do not lie so.
inline void* dense_at(const DLTensor& view, int64_t rows, int64_t columns) {
    if (view.ndim != 2 || view.shape[0] != rows || view.shape[1] != columns) return nullptr;
    if ((columns > 1 && view.strides[1] != 1) || (rows > 1 && view.strides[0] != columns)) return nullptr;
    return view.data;
}

// Whether this is a plain float32 tensor on the CPU whose numbers lie there as they are, told in `view`.
inline bool plain_view(PyObject* tensor, DLTensor* view) {
    if (Py_TYPE(tensor) != reinterpret_cast<PyTypeObject*>(torch.tensor) || !float_view(tensor, view)) return false;
    // torch's negation can wait, as a bit of which DLPack knows nothing
    const Ref negated(PyObject_CallFunctionObjArgs(torch.is_neg, tensor, nullptr));
    if (!negated) PyErr_Clear();
    return negated.get() == Py_False;
}

// The address of a plain, dense float32 tensor `[rows, columns]`; null where it is anything else.
inline void* dense(PyObject* tensor, int64_t rows, int64_t columns) {
    DLTensor view;
    return plain_view(tensor, &view) ? dense_at(view, rows, columns) : nullptr;
}

// A new dense float32 tensor of up to three axes, and its address; null with an error set.
inline Ref fresh(const int64_t* shape, int rank, void** data) {
    constexpr int64_t pooled = 1 << 16;  // elements; recurra.kernels.native: POOLED
    int64_t count = 1;
    Ref sizes[3];
    for (int i = 0; i < rank; ++i) {
        count *= shape[i];
        sizes[i] = Ref(PyLong_FromLongLong(shape[i]));
        if (!sizes[i]) return Ref();
    }
    const auto make = [&](PyObject* maker) {
        return Ref(PyObject_CallFunctionObjArgs(maker, sizes[0].get(), sizes[1].get(), sizes[2].get(), nullptr));
    };
    DLTensor view;
    Ref made = make(count < pooled ? torch.empty : torch.large);
    // torch's default dtype may be another, and a mode of functions may name another device
    if (made && !float_view(made.get(), &view)) made = make(torch.small);
    if (!made) return made;
    if (!float_view(made.get(), &view)) {
        PyErr_SetString(PyExc_TypeError, "torch.empty gave no float32 tensor on the CPU");
        return Ref();
    }
    *data = view.data;
    return made;
}

inline bool requires_grad(PyObject* tensor) {
    static PyObject* const name = PyUnicode_InternFromString("requires_grad");
    return attribute(tensor, name).get() == Py_True;
}

// A new tensor like a dense one, and its address; null with an error set.
inline Ref empty_like(PyObject* like, int64_t rows, int64_t columns, void** data) {
    Ref made(PyObject_CallFunctionObjArgs(torch.empty_like, like, nullptr));
    DLTensor view;
    *data = made && float_view(made.get(), &view) ? dense_at(view, rows, columns) : nullptr;
    if (made && !*data) {
        PyErr_SetString(PyExc_TypeError, "torch.empty_like gave no dense float32 tensor");
        return Ref();
    }
    return made;
}

}  // namespace recurra
