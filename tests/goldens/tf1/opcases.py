"""The table of op cases: expressions in `tf`, run by TensorFlow 1.15 (make_opcases.py) and by recurra.tf1 (tests).

One string is one case: it is evaluated with `tf` and the inputs of `namespace` in scope, in a fresh graph. Python 3.7
syntax, since TensorFlow 1.15 reads this file too.
"""

import numpy as np


def arrays():
    """The NumPy inputs by name; float32 ones are differentiated."""
    r = np.random.RandomState(7)
    f = lambda *s: r.randn(*s).astype(np.float32)
    square = f(3, 3)
    return {
        "x": f(3, 4),
        "y": f(3, 4),
        "v": f(4),
        "w": f(4, 5),
        "k": np.float32(1.5),
        "pos": np.abs(f(3, 4)) + np.float32(0.5),
        "unit": (r.rand(3, 4) * 1.8 - 0.9).astype(np.float32),
        "t3": f(2, 3, 4),
        "t4": f(2, 3, 4, 5),
        "bm": f(2, 4, 3),
        "img": f(2, 7, 8, 3),
        "img1": f(2, 9, 3),
        "vol": f(1, 4, 5, 4, 2),
        "kern": f(3, 2, 3, 4),
        "kern1": f(3, 3, 4),
        "kern3": f(2, 3, 2, 2, 3),
        "depthk": f(3, 3, 3, 2),
        "pointk": f(1, 1, 6, 4),
        "sq": square,
        "spd": (square.dot(square.T) + 3 * np.eye(3)).astype(np.float32),
        "bsq": f(2, 3, 3) + 3 * np.eye(3, dtype=np.float32),
        "d": r.randn(3, 4),
        "c": (f(3, 4) + 1j * f(3, 4)).astype(np.complex64),
        "i": np.array([[5, -3, 2, 7], [0, 4, -6, 1], [3, 3, -1, 9]], np.int32),
        "j": np.array([[2, 3, -4, 5], [1, -2, 3, 4], [7, 2, 5, -3]], np.int32),
        "ids": np.array([2, 0, 1, 2, 2], np.int32),
        "seg": np.array([0, 0, 2], np.int32),
        "l": np.array([3, 1], np.int64),
        "u8": np.array([[1, 200, 30], [4, 255, 0]], np.uint8),
        "b": np.array([[1, 0, 1, 1], [0, 0, 1, 0], [1, 1, 1, 1]], bool),
        "b2": np.array([[1, 1, 0, 1], [0, 1, 0, 0], [0, 1, 1, 1]], bool),
        "mask": np.array([True, False, True]),
        "h": f(3, 4).astype(np.float16),
        "s": np.array([b"hello world", b"", b"a,b,,c"], object),
        "dup": np.array([3, 1, 3, 2, 1, 3], np.int32),
        "labels": np.array([1, 3, 0], np.int32),
        "probs": np.array([[0.1, 0.2, 0.3, 0.4], [0.7, 0.1, 0.1, 0.1], [0.25] * 4], np.float32),
        "rgb": r.rand(5, 6, 3).astype(np.float32),
    }


def namespace(tf, values):
    """What an expression sees: `tf`, `np`, the inputs as tensors, and helpers."""

    def unknown(t):
        """`t` with its rank known and its sizes not."""
        return tf.placeholder_with_default(t, [None] * t.get_shape().ndims)

    def norank(t):
        """`t` with nothing known of its shape."""
        return tf.placeholder_with_default(t, None)

    def sparse(t):
        """The non-zero entries of `t` above 0 as a SparseTensor."""
        where = tf.where(tf.greater(t, tf.zeros_like(t)))
        return tf.SparseTensor(where, tf.gather_nd(t, where), tf.shape(t, out_type=tf.int64))

    names = {"tf": tf, "np": np, "unknown": unknown, "norank": norank, "sparse": sparse}
    names.update((k, tf.constant(v, name=k)) for k, v in values.items())
    return names


def _calls(template, names):
    return [template.format(n) for n in names.split()]


CASES = {}

CASES["unary"] = (
    _calls("tf.{}(x)", "abs negative square sign exp expm1 sigmoid tanh sin cos tan atan sinh cosh asinh erf erfc floor ceil "
           "rint round identity stop_gradient to_double to_int32 to_float is_nan is_inf is_finite reciprocal")
    + _calls("tf.{}(pos)", "log log1p sqrt rsqrt lgamma digamma acosh")[:6]
    + ["tf.acosh(pos + 1.)"]
    + _calls("tf.{}(unit)", "asin acos atanh")
    + _calls("tf.{}(i)", "abs negative square sign to_float to_int64")
    + _calls("tf.{}(d)", "exp log1p tanh sigmoid erf lgamma digamma")
    + _calls("tf.{}(c)", "abs real imag conj angle exp square negative")
    + _calls("tf.nn.{}(x)", "relu relu6 elu selu crelu leaky_relu softplus softsign tanh sigmoid softmax log_softmax")
    + _calls("tf.math.{}(pos)", "bessel_i0 bessel_i1 bessel_i0e bessel_i1e")
    + ["tf.logical_not(b)", "tf.invert_permutation([2, 0, 1])", "-x", "abs(x)", "tf.log_sigmoid(x)", "tf.cast(x, tf.int32)", "tf.cast(i, tf.bool)",
       "tf.cast(b, tf.float32)", "tf.cast(x, tf.float16)", "tf.saturate_cast(x * 300., tf.uint8)", "tf.bitcast(x, tf.int32)",
       "tf.nn.l2_loss(x)", "tf.nn.softmax(x, axis=0)", "tf.nn.softmax(t3, dim=1)", "tf.nn.log_softmax(t3, axis=1)",
       "tf.nn.l2_normalize(x, 1)", "tf.nn.l2_normalize(x, [0, 1])", "tf.nn.leaky_relu(x, alpha=0.3)", "tf.check_numerics(x, 'm')",
       "tf.math.polyval([x, y, 2. * x], 1.5)", "tf.nn.swish(x)", "tf.math.reciprocal_no_nan(x)", "tf.nn.zero_fraction(tf.nn.relu(x))",
       "tf.clip_by_value(x, -0.5, 0.5)", "tf.clip_by_norm(x, 1.0)", "tf.clip_by_norm(x, 1.0, axes=[1])", "tf.clip_by_average_norm(x, 0.1)",
       "tf.clip_by_global_norm([x, None, y], 1.5)", "tf.global_norm([x, y])"]
)

_BINARY = "add subtract multiply divide div truediv realdiv maximum minimum squared_difference floordiv floor_div floormod mod"
CASES["binary"] = (
    _calls("tf.{}(x, y)", _BINARY + " atan2 div_no_nan")
    + _calls("tf.{}(i, j)", "add subtract multiply divide div truediv maximum minimum floordiv floormod mod truncatediv truncatemod squared_difference")
    + _calls("tf.{}(x, v)", "add multiply maximum squared_difference subtract")
    + _calls("tf.{}(x, k)", "add pow multiply")[:1]
    + ["tf.{}({})".format(op, args) for op in "equal not_equal less less_equal greater greater_equal".split()
       for args in ("x, y", "i, j", "i, 3")]
    + ["tf.logical_and(b, b2)", "tf.logical_or(b, b2)", "tf.logical_xor(b, b2)", "tf.pow(pos, y)", "tf.pow(i, 3)", "tf.pow(2., x)",
       "x + y", "x - 1", "2 * x", "x / y", "i / j", "i // j", "i % j", "x // y", "x % y", "pos ** 2", "2. ** x", "x > 0", "i <= 3", "1 - x",
       "b & b2", "b | b2", "b ^ b2", "~b", "x + v", "t3 * v", "tf.zeta(pos + 1., pos)", "tf.polygamma(2., pos)", "tf.igamma(pos, pos)", "tf.igammac(pos, pos)",
       "tf.betainc(pos, pos, tf.sigmoid(x))", "tf.lbeta(pos)", "tf.complex(x, y)", "c * c", "c + c", "tf.add_n([x, y, x])", "tf.accumulate_n([x, y])",
       "tf.scalar_mul(3., x)", "tf.cross(t3[0, :, :3], t3[1, :, :3])", "tf.math.xlogy(x, pos)", "tf.math.xdivy(x, pos)", "tf.math.multiply_no_nan(x, y)",
       "x[0] + tf.reshape(y[:, 0], [3, 1])", "unknown(x) + v", "norank(x) + v", "unknown(x) * unknown(y)", "tf.bitwise.bitwise_and(i, j)",
       "tf.bitwise.bitwise_or(i, j)", "tf.bitwise.bitwise_xor(i, j)", "tf.bitwise.invert(i)", "tf.bitwise.left_shift(i, [1, 2, 3, 1])",
       "tf.bitwise.right_shift(i, [1, 2, 3, 1])", "tf.floordiv(7, -2)", "tf.mod(-7, 3)", "tf.where(b, x, y)", "tf.where(mask, x, y)", "tf.where(b)",
       "tf.where_v2(mask[:, None], x, 0.)", "tf.math.nextafter(d, 1.)", "tf.math.bincount(ids)", "tf.bincount(ids, minlength=5)"]
)

_AXES = ["", ", 0", ", axis=1", ", axis=[0, 1]", ", axis=-1, keepdims=True", ", axis=[]"]
CASES["reduce"] = (
    ["tf.reduce_{}(x{})".format(op, a) for op in ("sum", "mean", "max", "min", "prod", "logsumexp", "std", "variance") for a in _AXES
     if not (op in ("std", "variance"))]
    + ["tf.math.reduce_{}(x{})".format(op, a) for op in ("std", "variance") for a in _AXES[:5]]
    + ["tf.reduce_{}(b{})".format(op, a) for op in ("all", "any") for a in _AXES]
    + ["tf.reduce_sum(i{})".format(a) for a in _AXES]
    + ["tf.reduce_mean(i)", "tf.reduce_max(i, 1)", "tf.reduce_sum(x, reduction_indices=[1])", "tf.reduce_mean(x, 1, keep_dims=True)",
       "tf.reduce_sum(unknown(x), 0)", "tf.reduce_sum(norank(x))", "tf.reduce_sum(norank(x), 1)", "tf.reduce_sum(unknown(x), tf.constant([1]))",
       "tf.argmax(x, 1)", "tf.argmax(x, 0)", "tf.argmin(x, axis=1)", "tf.argmax(x, dimension=1)", "tf.argmax(x)", "tf.arg_max(x, 1)",
       "tf.argmax(x, 1, output_type=tf.int32)", "tf.cumsum(x)", "tf.cumsum(x, axis=1, exclusive=True)", "tf.cumsum(x, axis=1, reverse=True)",
       "tf.cumprod(x, axis=1)", "tf.cumprod(x, axis=0, exclusive=True, reverse=True)", "tf.math.cumulative_logsumexp(x, axis=1)",
       "tf.count_nonzero(i)", "tf.count_nonzero(i, axis=1)", "tf.norm(x)", "tf.norm(x, axis=1)", "tf.norm(x, ord=1, axis=0, keepdims=True)",
       "tf.norm(x, ord=np.inf, axis=1)", "tf.nn.moments(x, [0])", "tf.nn.moments(t3, [0, 1], keep_dims=True)", "tf.nn.weighted_moments(x, [0], pos)",
       "tf.nn.sufficient_statistics(x, [0])[:3]", "tf.segment_sum(x, seg)", "tf.segment_mean(x, seg)", "tf.segment_max(x, seg)",
       "tf.segment_min(x, seg)", "tf.segment_prod(x, seg)", "tf.unsorted_segment_sum(x, [1, 0, 1], 3)", "tf.unsorted_segment_mean(x, [1, 0, 1], 3)",
       "tf.unsorted_segment_max(x, [1, 0, 1], 3)", "tf.unsorted_segment_min(x, [1, 0, 1], 2)", "tf.unsorted_segment_prod(x, [1, 0, 1], 2)",
       "tf.unsorted_segment_sqrt_n(x, [1, 0, 1], 2)", "tf.sparse_segment_sum(x, [0, 2, 1], [0, 0, 1])", "tf.sparse_segment_mean(x, [0, 2, 1], [0, 0, 2])",
       "tf.sparse_segment_sqrt_n(x, [0, 2, 1], [0, 0, 1])", "tf.nn.in_top_k(probs, labels, 2)", "tf.nn.top_k(x, 2)", "tf.nn.top_k(i, k=3, sorted=False)[0]",
       "tf.confusion_matrix([1, 0, 2], [1, 1, 2])", "tf.math.confusion_matrix([1, 0], [1, 1], num_classes=3, weights=[2, 5])",
       "tf.histogram_fixed_width(x, [-1., 1.], nbins=5)", "tf.math.in_top_k(probs, labels, 1)", "tf.contrib.framework.argsort(x)", "tf.sort(x, direction='DESCENDING')",
       "tf.argsort(x, axis=0)", "tf.searchsorted([1., 3., 5.], [0.5, 3., 9.])", "tf.searchsorted([1., 3., 5.], [0.5, 3., 9.], side='right')",
       "tf.nn.normalize_moments(3., [2., 4.], [5., 9.], None)"]
)

CASES["array"] = [
    "tf.reshape(x, [4, 3])", "tf.reshape(x, [-1])", "tf.reshape(x, [2, -1, 3])", "tf.reshape(unknown(x), [-1, 4])", "tf.reshape(x, tf.shape(y))",
    "tf.reshape(x, [tf.shape(x)[0], -1])", "tf.transpose(x)", "tf.transpose(t3, [1, 0, 2])", "tf.transpose(unknown(t3), [2, 0, 1])", "tf.transpose(norank(x))",
    "tf.matrix_transpose(t3)", "tf.expand_dims(x, 0)", "tf.expand_dims(x, -1)", "tf.expand_dims(x, dim=1)", "tf.squeeze(tf.reshape(x, [1, 3, 1, 4]))",
    "tf.squeeze(tf.reshape(x, [1, 3, 1, 4]), [0])", "tf.squeeze(tf.reshape(x, [1, 3, 1, 4]), squeeze_dims=[2])", "tf.concat([x, y], 0)", "tf.concat([x, y], axis=1)",
    "tf.concat([x, y], -1)", "tf.concat([unknown(x), y], 0)", "tf.concat([x], 0)", "tf.concat([i, j], 1)", "tf.stack([x, y])", "tf.stack([x, y], axis=1)", "tf.stack([x, y], -1)",
    "tf.stack([1, 2, 3])", "tf.stack([tf.shape(x)[0], 2])", "tf.unstack(x)", "tf.unstack(t3, axis=1)", "tf.unstack(x, num=4, axis=-1)", "tf.split(x, 2, 1)",
    "tf.split(x, [1, 3], 1)", "tf.split(t3, 3, axis=1)", "tf.split(x, [1, -1], 1)", "tf.tile(x, [2, 1])", "tf.tile(v, [3])", "tf.tile(unknown(x), [1, 2])", "tf.slice(x, [1, 0], [2, -1])",
    "tf.slice(x, [0, 1], [2, 2])", "tf.strided_slice(x, [0, 0], [3, 4], [2, 1])", "x[0]", "x[1:, ::2]", "x[:, -1]", "x[..., 1]", "x[:, tf.newaxis]", "t3[:, 1:, ::-1]", "x[tf.constant(1)]",
    "x[:tf.constant(2)]", "unknown(x)[:, 1]", "unknown(x)[1:3]", "unknown(t3)[:, -1, :]", "norank(x)[0]", "t3[0, ..., 2]", "t3[-1]", "x[0:2, 1:3]", "tf.gather(x, ids)", "tf.gather(x, [1, 0], axis=1)",
    "tf.gather(t3, [[0, 1], [1, 1]])", "tf.gather(unknown(x), ids)", "tf.gather_nd(x, [[0, 1], [2, 3]])", "tf.gather_nd(t3, [[0, 1], [1, 2]])", "tf.batch_gather(x, [[1, 0], [2, 2], [3, 1]])",
    "tf.boolean_mask(x, mask)", "tf.boolean_mask(x, b)", "tf.boolean_mask(x, [True, False, True, True], axis=1)", "tf.one_hot(ids, 3)", "tf.one_hot(ids, 4, 5., -1., axis=0)", "tf.one_hot([[0, 2], [1, -1]], 3)",
    "tf.one_hot(ids, 3, dtype=tf.int32)", "tf.one_hot(ids, 2, on_value=True, off_value=False)", "tf.pad(x, [[1, 2], [0, 1]])", "tf.pad(x, [[1, 1], [2, 2]], 'REFLECT')", "tf.pad(x, [[1, 1], [2, 2]], mode='SYMMETRIC')",
    "tf.pad(x, [[0, 0], [1, 1]], constant_values=7.)", "tf.reverse(x, [1])", "tf.reverse(x, [0, 1])", "tf.reverse_sequence(x, [2, 4, 1], seq_axis=1)", "tf.reverse_sequence(t3, [3, 1], seq_dim=1, batch_dim=0)",
    "tf.reverse_sequence(t3, [2, 1, 2], 0, 1)", "tf.shape(x)", "tf.shape(t3, out_type=tf.int64)", "tf.shape(unknown(x))", "tf.size(x)", "tf.rank(t3)", "tf.shape_n([x, v])", "tf.fill([2, 3], 7.)", "tf.fill([2], True)",
    "tf.zeros([2, 3])", "tf.ones([2], tf.int32)", "tf.zeros_like(x)", "tf.ones_like(i)", "tf.zeros_like(x, dtype=tf.bool)", "tf.zeros(tf.shape(x)[:1])", "tf.eye(3)", "tf.eye(2, 3, batch_shape=[2])", "tf.range(5)", "tf.range(2, 9, 3)",
    "tf.range(1., 2., 0.25)", "tf.range(tf.shape(x)[0])", "tf.lin_space(0., 1., 5)", "tf.linspace(0., 1., 1)", "tf.meshgrid([1, 2, 3], [4, 5])", "tf.meshgrid([1., 2.], [4., 5.], indexing='ij')", "tf.diag(v)", "tf.diag_part(sq)",
    "tf.matrix_diag(x)", "tf.matrix_diag_part(t3)", "tf.matrix_set_diag(sq, [1., 2., 3.])", "tf.matrix_band_part(sq, 1, 0)", "tf.matrix_band_part(t3, -1, 1)", "tf.trace(sq)", "tf.unique(dup)", "tf.unique_with_counts(dup)", "tf.setdiff1d(dup, [1, 5])",
    "tf.dynamic_partition(i, [0, 1, 0], 2)", "tf.dynamic_stitch([[0, 2], [1]], [x[:2], x[2:]])", "tf.scatter_nd([[1], [3]], x[:2], [5, 4])", "tf.scatter_nd([[0], [0]], [2., 3.], [2])", "tf.tensor_scatter_nd_update(x, [[0, 1]], [9.])",
    "tf.tensor_scatter_nd_add(x, [[0, 1], [0, 1]], [9., 1.])", "tf.sequence_mask([1, 3, 0])", "tf.sequence_mask([1, 3], 5)", "tf.sequence_mask([[1], [2]], maxlen=3, dtype=tf.float32)", "tf.broadcast_to(v, [3, 4])",
    "tf.broadcast_dynamic_shape([3, 1], [4])", "tf.roll(x, 1, 0)", "tf.roll(x, [1, -1], [0, 1])", "tf.repeat(x, 2, axis=0)", "tf.repeat([1, 2], [2, 3])", "tf.space_to_depth(t4[:, :2, :4], 2)", "tf.depth_to_space(t4[:, :, :, :4], 2)",
    "tf.space_to_batch(t4[:, :2, :4], [[0, 0], [0, 0]], 2)", "tf.batch_to_space(tf.tile(t4, [2, 1, 1, 1]), [[0, 0], [0, 1]], 2)", "tf.space_to_batch_nd(t4[:, :2], [2, 2], [[0, 0], [0, 0]])", "tf.required_space_to_batch_paddings([5], [2])",
    "tf.extract_image_patches(img, [1, 3, 3, 1], [1, 2, 2, 1], [1, 1, 1, 1], 'VALID')", "tf.edit_distance(sparse(ids[None]), sparse(dup[None]))", "tf.unravel_index([5, 7], [3, 4])", "tf.parallel_stack([x, y])",
    "tf.nn.embedding_lookup(x, ids)", "tf.nn.embedding_lookup([x, y], [0, 3, 5])", "tf.nn.embedding_lookup([x, y], [0, 3, 5], partition_strategy='div')", "tf.nn.embedding_lookup(x, [[0, 1], [2, 0]], max_norm=1.0)",
    "tf.cast(tf.constant([1.7, -1.7]), tf.int32)", "tf.constant([[1, 2], [3, 4]])", "tf.constant(3, shape=[2, 2])", "tf.constant([1, 2, 3], dtype=tf.float32)", "tf.constant('abc')", "tf.placeholder_with_default(x, [None, 4])", "tf.identity(i)",
    "tf.convert_to_tensor([[1., 2.]])", "tf.convert_to_tensor(np.arange(3))", "tf.guarantee_const(x)", "tf.ensure_shape(unknown(x), [3, None])", "tf.quantize_v2(x, -2., 2., tf.quint8)[1:]",
]

CASES["linalg"] = [
    "tf.matmul(x, w)", "tf.matmul(x, y, transpose_b=True)", "tf.matmul(x, y, transpose_a=True)", "tf.matmul(t3, bm)", "tf.matmul(t3, t3, adjoint_b=True)", "tf.matmul(unknown(x), w)", "tf.matmul(i, j, transpose_b=True)", "tf.matmul(d, d, transpose_a=True)",
    "x @ w", "tf.tensordot(t3, w, 1)", "tf.tensordot(t3, t3, [[0, 2], [0, 2]])", "tf.tensordot(t3, w, [[2], [0]])", "tf.tensordot(unknown(t3), w, [[2], [0]])", "tf.einsum('ij,jk->ik', x, w)", "tf.einsum('bij,bjk->bik', t3, bm)",
    "tf.einsum('ijk,kl->ijl', t3, w)", "tf.einsum('ij->ji', x)", "tf.einsum('ij,ij->', x, y)", "tf.cholesky(spd)", "tf.matrix_inverse(bsq)", "tf.matrix_determinant(bsq)", "tf.matrix_solve(bsq, t3)", "tf.matrix_triangular_solve(spd, x)",
    "tf.matrix_triangular_solve(spd, x, lower=False)", "tf.cholesky_solve(tf.cholesky(spd), x)", "tf.self_adjoint_eigvals(spd)", "tf.self_adjoint_eig(spd)[0]", "tf.svd(x, compute_uv=False)", "tf.qr(sq)[1] ** 2", "tf.linalg.slogdet(bsq)", "tf.linalg.logdet(spd)",
    "tf.linalg.expm(sq)", "tf.linalg.norm(x, 'fro', axis=[0, 1])", "tf.matrix_solve_ls(w, tf.transpose(x))", "tf.linalg.matvec(x, v)", "tf.linalg.trace(bsq)", "tf.linalg.tensor_diag(v)", "tf.linalg.adjoint(c)", "tf.linalg.eye(2)",
    "tf.linalg.diag(x)", "tf.linalg.diag_part(bsq)", "tf.linalg.lstsq(tf.transpose(x), w)", "tf.linalg.l2_normalize(x)", "tf.linalg.logm(tf.cast(spd, tf.complex64))", "tf.linalg.sqrtm(spd)", "tf.fft(c)", "tf.ifft(c)", "tf.spectral.rfft(x)", "tf.spectral.irfft(c)",
    "tf.spectral.rfft2d(x)", "tf.fft2d(c)", "tf.signal.dct(x)", "tf.signal.frame(v, 2, 1)", "tf.signal.hann_window(6)", "tf.signal.hamming_window(5)", "tf.signal.stft(tf.reshape(t4, [1, -1]), 16, 8)", "tf.signal.overlap_and_add(x, 2)",
    "tf.matmul(x, w, b_is_sparse=True)", "tf.sparse_matmul(x, w)", "tf.matmul(t4, t4, transpose_b=True)",
]

CASES["nn"] = [
    "tf.nn.conv2d(img, kern, [1, 1, 1, 1], 'SAME')", "tf.nn.conv2d(img, kern, [1, 2, 2, 1], 'VALID')", "tf.nn.conv2d(img, kern, strides=[1, 2, 1, 1], padding='SAME')", "tf.nn.conv2d(unknown(img), kern, [1, 2, 2, 1], 'SAME')",
    "tf.nn.conv2d(img, kern, [1, 1, 1, 1], 'SAME', dilations=[1, 2, 2, 1])", "tf.nn.conv1d(img1, kern1, 2, 'SAME')", "tf.nn.conv1d(img1, kern1, 1, 'VALID')", "tf.nn.conv3d(vol, kern3, [1, 1, 1, 1, 1], 'SAME')", "tf.nn.conv3d(vol, kern3, [1, 2, 2, 2, 1], 'VALID')",
    "tf.nn.conv2d_transpose(tf.nn.conv2d(img, kern, [1, 2, 2, 1], 'SAME'), kern, [2, 7, 8, 3], [1, 2, 2, 1], 'SAME')", "tf.nn.depthwise_conv2d(img, depthk, [1, 1, 1, 1], 'SAME')", "tf.nn.depthwise_conv2d(img, depthk, [1, 2, 2, 1], 'VALID')", "tf.nn.separable_conv2d(img, depthk, pointk, [1, 1, 1, 1], 'SAME')",
    "tf.nn.atrous_conv2d(img, kern, 2, 'SAME')", "tf.nn.convolution(img, kern, 'SAME')", "tf.nn.convolution(img, kern, 'VALID', dilation_rate=[2, 1])", "tf.nn.max_pool(img, [1, 2, 2, 1], [1, 2, 2, 1], 'SAME')", "tf.nn.max_pool(img, [1, 3, 2, 1], [1, 1, 2, 1], 'VALID')",
    "tf.nn.max_pool(img, ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding='VALID', name='p')", "tf.nn.avg_pool(img, [1, 2, 2, 1], [1, 2, 2, 1], 'SAME')", "tf.nn.avg_pool(img, [1, 3, 3, 1], [1, 2, 2, 1], 'VALID')", "tf.nn.max_pool3d(vol, [1, 2, 2, 2, 1], [1, 2, 2, 2, 1], 'SAME')", "tf.nn.avg_pool3d(vol, [1, 2, 2, 2, 1], [1, 1, 1, 1, 1], 'SAME')",
    "tf.nn.max_pool_with_argmax(img, [1, 2, 2, 1], [1, 2, 2, 1], 'SAME')", "tf.nn.pool(img, [2, 2], 'MAX', 'VALID')", "tf.nn.dilation2d(img, depthk[:, :, :, 0], [1, 1, 1, 1], [1, 1, 1, 1], 'SAME')", "tf.nn.bias_add(img, [1., 2., 3.])", "tf.nn.bias_add(x, v)", "tf.nn.xw_plus_b(x, w, [1., 2., 3., 4., 5.])", "tf.nn.relu_layer(x, w, [1., 2., 3., 4., 5.])",
    "tf.nn.lrn(img)", "tf.nn.local_response_normalization(img, 1, 1.0, 0.5, 0.6)", "tf.nn.batch_normalization(x, v, v * v + 1., v, v, 1e-3)", "tf.nn.batch_norm_with_global_normalization(img, tf.constant([0., 1., 2.]), tf.constant([1., 2., 1.]), tf.constant([0., 0., 1.]), tf.constant([1., 1., 2.]), 1e-3, True)", "tf.nn.fused_batch_norm(img, [1., 2., 3.], [0., 1., 0.])[:3]",
    "tf.nn.softmax_cross_entropy_with_logits(logits=x, labels=probs)", "tf.nn.softmax_cross_entropy_with_logits_v2(logits=x, labels=probs)", "tf.nn.softmax_cross_entropy_with_logits(labels=tf.transpose(probs), logits=tf.transpose(x), dim=0)", "tf.nn.sparse_softmax_cross_entropy_with_logits(logits=x, labels=labels)",
    "tf.nn.sparse_softmax_cross_entropy_with_logits(logits=t3, labels=[[0, 1, 2], [3, 0, 1]])", "tf.nn.sigmoid_cross_entropy_with_logits(logits=x, labels=probs)", "tf.nn.weighted_cross_entropy_with_logits(targets=probs, logits=x, pos_weight=2.)", "tf.nn.log_poisson_loss(pos, x)", "tf.nn.log_poisson_loss(pos, x, True)",
    "tf.nn.sampled_softmax_loss(w, tf.ones([4]), tf.constant([[1], [2], [0]], tf.int64), t4[0, :, 0, :], 2, 4, sampled_values=(tf.constant([1, 3], tf.int64), tf.constant([[.5], [.2], [.3]]), tf.constant([.4, .6])))", "tf.nn.nce_loss(w, tf.ones([4]), tf.constant([[1], [2], [0]], tf.int64), t4[0, :, 0, :], 2, 4, sampled_values=(tf.constant([1, 3], tf.int64), tf.constant([[.5], [.2], [.3]]), tf.constant([.4, .6])))",
    "tf.nn.dropout(x, 1.0)", "tf.nn.dropout(x, 0.5, seed=3)", "tf.nn.dropout(x, rate=0.3, noise_shape=[3, 1], seed=5)", "tf.nn.embedding_lookup_sparse(w, tf.SparseTensor([[0, 0], [0, 1], [1, 0]], [1, 3, 0], [2, 2]), None)", "tf.nn.embedding_lookup_sparse(w, tf.SparseTensor([[0, 0], [0, 1], [1, 0]], [1, 3, 0], [2, 2]), tf.SparseTensor([[0, 0], [0, 1], [1, 0]], [1., 3., .5], [2, 2]), combiner='sum')",
    "tf.nn.safe_embedding_lookup_sparse([w], tf.SparseTensor([[0, 0], [0, 1], [2, 0]], [1, 3, 0], [3, 2]))", "tf.nn.relu6(i)", "tf.nn.erosion2d(img, depthk[:, :, :, 0], [1, 1, 1, 1], [1, 1, 1, 1], 'SAME')", "tf.nn.compute_accidental_hits([[1], [2]], [2, 1, 1], 1)[:2]", "tf.nn.with_space_to_batch(img, [1, 1], 'VALID', lambda z, n, p: z)",
    "tf.nn.conv2d_backprop_input([2, 7, 8, 3], kern, tf.nn.conv2d(img, kern, [1, 1, 1, 1], 'SAME'), [1, 1, 1, 1], 'SAME')", "tf.nn.collapse_repeated([[1, 1, 2], [3, 3, 3]], [3, 2])", "tf.nn.softmax(tf.reshape(x, [3, 2, 2]), 1)",
]

CASES["random"] = [
    "tf.random_uniform([3, 2], seed=1)", "tf.random_uniform([5], -1, 1, seed=2)", "tf.random_uniform([4], maxval=10, dtype=tf.int32, seed=3)", "tf.random_uniform([3], dtype=tf.float64, seed=3)", "tf.random_normal([3, 2], seed=1)", "tf.random_normal([4], 2.0, 0.5, seed=1)",
    "tf.truncated_normal([5], stddev=0.1, seed=4)", "tf.random_shuffle(tf.range(7), seed=4)", "tf.random_shuffle(x, seed=4)", "tf.multinomial(x, 5, seed=4)", "tf.random.categorical(x, 5, seed=4, dtype=tf.int32)", "tf.random_crop(x, [2, 2], seed=4)", "tf.random_uniform([3])", "tf.random_normal([2])",
    "tf.random.stateless_uniform([3], [1, 2])", "tf.random.stateless_normal([3], [1, 2])", "tf.random.stateless_truncated_normal([3], [1, 2])", "tf.random.stateless_multinomial(x, 4, [1, 2])", "tf.random.log_uniform_candidate_sampler([[1], [2]], 1, 4, True, 20, seed=3)",
    "tf.random.uniform_candidate_sampler([[1], [2]], 1, 4, False, 20, seed=3)", "tf.random.all_candidate_sampler([[1], [2]], 1, 4, True, seed=3)[1:]", "tf.random.learned_unigram_candidate_sampler([[1], [2]], 1, 4, True, 8, seed=3)[0] * 0", "tf.random.fixed_unigram_candidate_sampler([[1], [2]], 1, 3, False, 4, unigrams=[1., 2., 3., 4.], seed=3)",
] + ["tf.{}(seed=5)([3, 4])".format(n) for n in "random_uniform_initializer random_normal_initializer truncated_normal_initializer uniform_unit_scaling_initializer glorot_uniform_initializer glorot_normal_initializer variance_scaling_initializer".split()] + [
    "tf.zeros_initializer()([2, 2])", "tf.ones_initializer()([2])", "tf.constant_initializer(3)([2, 2])", "tf.constant_initializer([1, 2, 3, 4])([2, 2])", "tf.orthogonal_initializer(seed=2)([3, 3])", "tf.contrib.layers.xavier_initializer(seed=2)([3, 4])", "tf.contrib.layers.variance_scaling_initializer(seed=2)([3, 4])", "tf.initializers.he_normal(seed=2)([3, 4])",
    "tf.initializers.lecun_uniform(seed=2)([3, 4])", "tf.keras.initializers.he_uniform(seed=2)([3, 4])", "tf.initializers.identity()([3, 3])",
]

CASES["strings"] = [
    "tf.string_join(['a', 'b'], '-')", "tf.string_join([s, 'x'])", "tf.string_split(s)", "tf.string_split(s, ',')", "tf.string_split(s, ',', skip_empty=False)", "tf.substr(s, 0, 0)", "tf.strings.substr(['hello', 'world'], 1, 3)", "tf.string_to_number(['1.5', '-2'])", "tf.string_to_number(['15'], tf.int32)",
    "tf.as_string(i)", "tf.as_string(x[0], precision=2)", "tf.as_string(b)", "tf.string_to_hash_bucket_fast(s, 100)", "tf.string_to_hash_bucket(s, 100)", "tf.string_to_hash_bucket_strong(s, 100, [1, 2])", "tf.strings.length(s)", "tf.strings.lower(['ABC'])", "tf.strings.upper(s)", "tf.strings.strip([' a b ', 'c'])",
    "tf.regex_replace(s, 'l+', 'L')", "tf.strings.regex_full_match(s, 'h.*')", "tf.reduce_join([['a', 'b'], ['c', 'd']], 1)", "tf.reduce_join([['a', 'b'], ['c', 'd']], [0, 1], separator=' ')", "tf.encode_base64(s)", "tf.decode_base64(tf.encode_base64(s))", "tf.decode_raw([b'abcd', b'efgh'], tf.uint8)", "tf.decode_raw([b'abcd'], tf.int16)",
    "tf.decode_csv(['1,2.5,a', '3,4,b'], [[0], [0.], ['']])", "tf.equal(s, ['', '', 'a,b,,c'])", "tf.concat([s, s], 0)", "tf.gather(s, [2, 0])", "s[0]", "tf.reshape(s, [3, 1])", "tf.stack([s, s])", "tf.strings.unicode_script([65])", "tf.strings.unicode_decode(['ab', 'c'], 'UTF-8').to_tensor()", "tf.strings.format('{} and {}', [i, 3])",
    "tf.strings.bytes_split(['ab', 'c']).to_tensor()", "tf.where([True, False, True], s, tf.constant(['p', 'q', 'r']))", "tf.strings.to_hash_bucket_fast(['a', 'longer string than sixteen chars', 'and an even longer string, which has more than sixty-four bytes in it, so all branches run'], 1000)", "s + 'x'",
]

CASES["sparse"] = [
    "sparse(x)", "tf.sparse_tensor_to_dense(sparse(x))", "tf.sparse_tensor_to_dense(sparse(i), default_value=-1)", "tf.sparse_to_dense([[0, 1], [2, 0]], [3, 2], [4., 5.])", "tf.sparse_to_dense([1, 3], [5], 1, 0)", "tf.sparse_add(sparse(x), sparse(y))", "tf.sparse_add(sparse(x), y)", "tf.sparse_reduce_sum(sparse(x), 1)", "tf.sparse_reduce_sum(sparse(x))",
    "tf.sparse_reduce_max(sparse(x), 0)", "tf.sparse_tensor_dense_matmul(sparse(x), w)", "tf.sparse_tensor_dense_matmul(sparse(x), y, adjoint_a=True)", "tf.sparse_concat(1, [sparse(x), sparse(y)])", "tf.sparse_concat(0, [sparse(x), sparse(y)])", "tf.sparse_split(sp_input=sparse(x), num_split=2, axis=1)", "tf.sparse_slice(sparse(x), [0, 1], [2, 2])",
    "tf.sparse_reshape(sparse(x), [4, 3])", "tf.sparse_transpose(sparse(x))", "tf.sparse_reorder(tf.SparseTensor([[1, 0], [0, 1]], [1., 2.], [2, 2]))", "tf.sparse_retain(tf.SparseTensor([[0, 0], [0, 1]], [1., 2.], [2, 2]), [False, True])", "tf.sparse_fill_empty_rows(tf.SparseTensor([[0, 0]], [1], [2, 2]), 9)", "tf.sparse_softmax(sparse(x))",
    "tf.sparse_to_indicator(tf.SparseTensor([[0, 0], [1, 0]], [1, 3], [2, 2]), 5)", "tf.sparse_merge(tf.SparseTensor([[0, 0], [1, 0]], tf.constant([1, 3], tf.int64), [2, 2]), tf.SparseTensor([[0, 0], [1, 0]], [.5, .7], [2, 2]), 5)", "tf.sparse_maximum(sparse(i), sparse(j))", "tf.sparse_minimum(sparse(i), sparse(j))", "sparse(x) * y", "sparse(pos) / pos",
    "tf.sparse_mask(tf.IndexedSlices(x, [0, 2, 4]), [2]).values", "tf.sparse_reset_shape(sparse(x), [5, 5])", "tf.sparse.expand_dims(sparse(x), 0)", "tf.sparse.eye(2)", "tf.sparse.from_dense(tf.nn.relu(x))", "tf.sets.set_intersection([[1, 2, 3]], [[2, 3, 5]])", "tf.sets.set_union([[1, 2, 3]], [[2, 5, 5]])", "tf.sets.set_difference([[1, 2, 3]], [[2, 3, 5]])", "tf.sets.set_size(sparse(i))",
]

CASES["image"] = [
    "tf.image.resize_images(img, [5, 4])", "tf.image.resize_bilinear(img, [14, 16])", "tf.image.resize_bilinear(img, [5, 4], align_corners=True)", "tf.image.resize_nearest_neighbor(img, [5, 12])", "tf.image.resize_bicubic(img, [9, 4])", "tf.image.resize_area(img, [3, 4])", "tf.image.resize_images(img, [5, 4], method=1)", "tf.image.flip_left_right(rgb)", "tf.image.flip_up_down(rgb)", "tf.image.transpose_image(rgb)", "tf.image.rot90(rgb)",
    "tf.image.per_image_standardization(rgb)", "tf.image.rgb_to_grayscale(rgb)", "tf.image.grayscale_to_rgb(rgb[:, :, :1])", "tf.image.rgb_to_hsv(rgb)", "tf.image.hsv_to_rgb(rgb)", "tf.image.rgb_to_yuv(rgb)", "tf.image.yuv_to_rgb(rgb)", "tf.image.rgb_to_yiq(rgb)", "tf.image.adjust_brightness(rgb, 0.2)", "tf.image.adjust_contrast(rgb, 1.5)", "tf.image.adjust_gamma(rgb, 0.7)", "tf.image.adjust_hue(rgb, 0.1)", "tf.image.adjust_saturation(rgb, 1.3)",
    "tf.image.convert_image_dtype(u8, tf.float32)", "tf.image.convert_image_dtype(rgb, tf.uint8)", "tf.image.crop_to_bounding_box(rgb, 1, 2, 3, 2)", "tf.image.pad_to_bounding_box(rgb, 1, 2, 8, 9)", "tf.image.central_crop(rgb, 0.5)", "tf.image.resize_image_with_crop_or_pad(rgb, 7, 4)", "tf.image.total_variation(img)", "tf.image.image_gradients(img)", "tf.image.sobel_edges(img)", "tf.image.psnr(rgb, rgb * 0.9, 1.0)",
    "tf.image.crop_and_resize(img, [[0., 0., .5, .5], [.1, .2, 1., 1.]], [0, 1], [3, 3])", "tf.image.non_max_suppression([[0., 0., 1., 1.], [0., 0., 1., .9], [2., 2., 3., 3.]], [.9, .8, .7], 3)", "tf.image.draw_bounding_boxes(img, [[[.1, .1, .6, .7]], [[0., 0., .3, .3]]])", "tf.image.random_brightness(rgb, 0.2, seed=1)", "tf.image.random_flip_left_right(rgb, seed=1)", "tf.image.random_contrast(rgb, .5, 1.5, seed=2)", "tf.image.extract_glimpse(img, [3, 3], [[0., 0.], [.5, .5]])",
    "tf.image.ssim(tf.tile(rgb, [3, 3, 1]), tf.tile(rgb * .9, [3, 3, 1]), 1.0)", "tf.image.random_saturation(rgb, .5, 1.5, seed=2)", "tf.image.random_hue(rgb, .2, seed=2)", "tf.image.decode_png(tf.image.encode_png(u8[:, :, None]))",
]

CASES["losses"] = [
    "tf.losses.mean_squared_error(x, y)", "tf.losses.mean_squared_error(labels=x, predictions=y, weights=[[1.], [0.], [2.]])", "tf.losses.absolute_difference(x, y)", "tf.losses.huber_loss(x, y, delta=0.5)", "tf.losses.log_loss(probs, tf.sigmoid(x))", "tf.losses.hinge_loss(probs, x)", "tf.losses.cosine_distance(x, y, axis=1)", "tf.losses.softmax_cross_entropy(probs, x)", "tf.losses.softmax_cross_entropy(probs, x, label_smoothing=.1, weights=[1., 0., 2.])",
    "tf.losses.sparse_softmax_cross_entropy(labels, x)", "tf.losses.sparse_softmax_cross_entropy(labels=labels, logits=x, weights=[1., 0., 2.])", "tf.losses.sigmoid_cross_entropy(probs, x)", "tf.losses.mean_pairwise_squared_error(x, y)", "tf.losses.compute_weighted_loss(x, pos)", "tf.losses.mean_squared_error(x, y, reduction='none')", "tf.losses.mean_squared_error(x, y, reduction=tf.losses.Reduction.SUM)", "tf.losses.mean_squared_error(x, y, reduction=tf.losses.Reduction.MEAN)",
    "(tf.losses.mean_squared_error(x, y), tf.losses.get_total_loss(), len(tf.losses.get_losses()) * tf.ones([]))[1:]", "tf.contrib.losses.mean_squared_error(x, y)", "tf.contrib.losses.softmax_cross_entropy(x, probs)", "tf.contrib.losses.sigmoid_cross_entropy(x, probs)", "tf.contrib.losses.sparse_softmax_cross_entropy(x, labels)", "tf.contrib.losses.log_loss(tf.sigmoid(x), probs)", "tf.contrib.losses.absolute_difference(x, y, weights=2.)", "tf.contrib.layers.l2_regularizer(0.1)(x)",
    "tf.contrib.layers.l1_regularizer(0.1)(x)", "tf.contrib.layers.l1_l2_regularizer(0.1, 0.2)(x)", "tf.contrib.layers.sum_regularizer([tf.contrib.layers.l2_regularizer(0.1)])(x)", "tf.keras.regularizers.l2(0.1)(x)", "tf.contrib.layers.one_hot_encoding(labels, 4)", "tf.contrib.layers.flatten(t4)", "tf.contrib.layers.unit_norm(x, 1)", "tf.contrib.layers.softmax(t3)", "tf.layers.flatten(t4)", "tf.contrib.layers.dropout(x, is_training=False)", "tf.layers.dropout(x, 0.5, training=True, seed=3)",
    "tf.layers.max_pooling2d(img, 2, 2)", "tf.layers.average_pooling2d(img, [2, 3], [2, 1], padding='same')", "tf.layers.max_pooling1d(img1, 2, 2)", "tf.layers.average_pooling1d(img1, 3, 2, padding='same')", "tf.layers.max_pooling3d(vol, 2, 2)", "tf.contrib.layers.max_pool2d(img, 2)", "tf.contrib.layers.avg_pool2d(img, [2, 2])", "tf.contrib.layers.flatten(unknown(t3))",
]

CASES["errors"] = [
    "tf.matmul(x, y)", "x + w", "tf.add(x, i)", "tf.reshape(x, [5, 5])", "tf.concat([x, w], 0)", "tf.stack([x, v])", "tf.constant([1, 2], shape=[3])", "tf.constant('a', dtype=tf.float32)", "tf.constant(1.5, dtype=tf.int32)", "tf.reduce_sum(x, 5)", "tf.squeeze(x, [0])", "tf.transpose(x, [0])", "tf.split(x, 3, 1)", "tf.unstack(unknown(x))", "tf.gather(3., [0])", "tf.matmul(i, x)", "x[5]",
    "x[0, 0, 0]", "tf.nn.softmax_cross_entropy_with_logits(x, probs)", "tf.nn.sparse_softmax_cross_entropy_with_logits(logits=x, labels=i)", "tf.slice(x, [0, 0], [5, 5])", "tf.tile(x, [2])", "tf.expand_dims(x, 7)", "tf.one_hot(x, 3)", "tf.convert_to_tensor(x, dtype=tf.int32)", "tf.convert_to_tensor([1, [2, 3]])", "tf.argmax(x, 7)", "tf.pad(x, [[1, 1]])", "tf.nn.conv2d(img, kern1, [1, 1, 1, 1], 'SAME')", "tf.cast('a', tf.float32)", "tf.logical_and(x, y)", "tf.sqrt(i)", "tf.exp(i)",
    "tf.reduce_all(x)", "tf.where(b, x, v)", "tf.equal(x, i)", "tf.nn.bias_add(x, [1., 2.])", "tf.nn.embedding_lookup(x, [7])", "tf.boolean_mask(x, [True])", "bool(x)", "if_ if False else (1 if x > 0 else 2)", "len(x)", "list(x)", "tf.Variable(lambda: 1.).foo", "tf.range(0, 5, 0)", "tf.check_numerics(x / 0., 'bad')", "tf.unsorted_segment_sum(x, [0, 1], 2)", "tf.string_to_number(['abc'])", "tf.one_hot(ids)", "tf.zeros([2, -1])",
]
