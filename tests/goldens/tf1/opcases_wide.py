# ruff: noqa  (read by Python 3.7 too)
"""More op cases: the names that few programs use. The inputs are those of opcases.py."""

CASES = {}

CASES["linalg_more"] = [
    "tf.linalg.lu(sq)",
    "tf.linalg.lu(bsq, output_idx_type=tf.int64)",
    "tf.linalg.matrix_rank(x)",
    "tf.linalg.matrix_rank(tf.stack([sq, tf.zeros([3, 3])]))",
    "tf.linalg.pinv(x)",
    "tf.linalg.pinv(bm, rcond=1e-3)",
    "tf.linalg.normalize(x)",
    "tf.linalg.normalize(t3, ord=1, axis=1)",
    "tf.linalg.tridiagonal_matmul(x[:, :3], sq)",
    "tf.linalg.tridiagonal_matmul((x[0, :3], x[1, :3], x[2, :3]), sq, diagonals_format='sequence')",
    "tf.linalg.tridiagonal_matmul(sq, sq, diagonals_format='matrix')",
    "tf.linalg.tridiagonal_solve(tf.stack([x[0], pos[1] + 4., x[2]]), x[1])",
    "tf.linalg.tridiagonal_solve(tf.stack([x[0, :3], pos[1, :3] + 4., x[2, :3]]), sq)",
    "tf.linalg.tridiagonal_solve(spd, x, diagonals_format='matrix')",
]

CASES["signal_more"] = [
    "tf.signal.fftshift(x)",
    "tf.signal.fftshift(t3, axes=1)",
    "tf.signal.ifftshift(t3, axes=[0, 2])",
    "tf.signal.inverse_stft_window_fn(3)(8, dtype=tf.float32)",
    "tf.signal.inverse_stft_window_fn(4, tf.signal.hamming_window)(10, dtype=tf.float32)",
    "tf.signal.linear_to_mel_weight_matrix()",
    "tf.signal.linear_to_mel_weight_matrix(8, 33, 4000, 80., 1900.)",
    "tf.signal.mfccs_from_log_mel_spectrograms(t3)",
]

CASES["nn_more"] = [
    "tf.nn.max_pool_v2(img, 2, 2, 'SAME')",
    "tf.nn.avg_pool_v2(img1, 3, 2, 'VALID')",
    "tf.nn.max_pool_v2(vol, [2, 2, 2], [1, 1, 1], 'VALID')",
    "tf.nn.conv1d_transpose(img1, tf.transpose(kern1, [0, 2, 1]), [2, 18, 4], 2)",
    "tf.nn.conv1d_transpose(img1, tf.transpose(kern1, [0, 2, 1]), [2, 11, 4], 1, 'VALID')",
    "tf.nn.conv_transpose(img1, tf.transpose(kern1, [0, 2, 1]), [2, 9, 4], 1)",
    "tf.nn.with_space_to_batch(img, [2, 2], 'SAME', lambda z, n, p: tf.nn.conv2d(z, kern, [1, 1, 1, 1], p), [3, 2])",
    "tf.nn.with_space_to_batch(img, [2, 1], 'VALID', lambda z, n, p: tf.nn.max_pool(z, [1, 2, 2, 1], [1, 1, 1, 1], p))",
    "tf.nn.compute_average_loss(v)",
    "tf.nn.compute_average_loss(v, sample_weight=x[0], global_batch_size=7)",
    "tf.nn.scale_regularization_loss(v)",
    "tf.nn.ctc_unique_labels(tf.constant([[3, 4, 4, 3], [1, 1, 0, 0]]))",
    "tf.fake_quant_with_min_max_vars(x, -1., 1.5)",
    "tf.fake_quant_with_min_max_vars(x, tf.reduce_min(x), tf.reduce_max(x), num_bits=4)",
    "tf.fake_quant_with_min_max_vars(x, -2., 0.7, narrow_range=True)",
    "tf.fake_quant_with_min_max_vars_per_channel(x, -tf.abs(v), tf.abs(v) * 2.)",
    "tf.fake_quant_with_min_max_vars_gradient(y, x, -1., 1.)",
    "tf.fake_quant_with_min_max_vars_per_channel_gradient(y, x, -tf.abs(v), tf.abs(v))",
    "tf.fake_quant_with_min_max_args_gradient(y, x, -1., 1.)",
]

CASES["graph_more"] = [
    "tf.parse_tensor(tf.serialize_tensor(x), tf.float32)",
    "tf.parse_tensor(tf.serialize_tensor(s), tf.string)",
    "tf.deserialize_many_sparse(tf.serialize_many_sparse(sparse(x)), tf.float32)",
    "tf.deserialize_many_sparse(tf.stack([tf.serialize_sparse(sparse(x)), tf.serialize_sparse(sparse(y))]), tf.float32, rank=3)",
    "tf.constant(tf.make_ndarray(tf.make_tensor_proto([[1, 2], [3, 4]])))",
    "tf.constant(tf.make_ndarray(tf.make_tensor_proto(np.arange(3.), dtype=tf.float32)))",
    "tf.decode_json_example(['{}'])",
    "tf.switch_case(tf.constant(1), [lambda: x, lambda: y])",
    "tf.switch_case(tf.constant(7), {0: lambda: x, 3: lambda: y}, default=lambda: x * 2.)",
    "tf.vectorized_map(lambda r: r * 2. + 1., x)",
    "tf.function(lambda a: a * 2.)(x)",
    "tf.histogram_fixed_width_bins(x, [-1., 1.], nbins=5)",
    "tf.extract_volume_patches(vol, [1, 2, 2, 2, 1], [1, 1, 2, 1, 1], 'VALID')",
    "tf.extract_volume_patches(vol, [1, 2, 3, 2, 1], [1, 2, 2, 2, 1], 'SAME')",
    "tf.fingerprint(s)",
    "tf.fingerprint(i)",
    "tf.strings.unsorted_segment_join(['a', 'b', 'c', 'd'], [1, 0, 1, 2], 4, ',')",
    "tf.strings.unicode_encode(tf.constant([[72, 105, 33], [233, 8364, 128512]]), 'UTF-8')",
    "tf.strings.unicode_encode(tf.constant([72, 105, 233]), 'UTF-16-BE')",
    "tf.strings.unicode_transcode([b'caf\\xc3\\xa9', b'\\xff!'], 'UTF-8', 'UTF-16-BE')",
    "tf.strings.unicode_transcode([b'a\\xffb', b'\\x01z'], 'UTF-8', 'UTF-8', replacement_char=63, replace_control_characters=True)",
    "tf.strings.unicode_transcode([b'a\\xffb'], 'UTF-8', 'UTF-8', errors='ignore')",
    "tf.contrib.rnn.transpose_batch_time(t3)",
    "tf.contrib.rnn.best_effort_input_batch_size([t3])",
    "tf.contrib.framework.remove_squeezable_dimensions(tf.expand_dims(x, -1), y)",
    "tf.contrib.layers.spatial_softmax(img)",
    "tf.contrib.layers.spatial_softmax(img, temperature=0.5, data_format='NHWC')",
    "tf.contrib.layers.scale_gradient(x, 2.5)",
    "tf.contrib.layers.dense_to_sparse(i)",
    "tf.contrib.layers.images_to_sequence(img)",
    "tf.contrib.layers.sequence_to_images(tf.contrib.layers.images_to_sequence(img), 7)",
    "[g for g, v in tf.contrib.training.clip_gradient_norms([(x, v), (None, w), (pos, w)], 0.5)]",
    "[g for g, v in tf.contrib.opt.clip_gradients_by_global_norm([(x, v), (pos, w)], 0.5)[0]]",
]

CASES["image_more"] = [
    "tf.image.is_jpeg(tf.image.encode_jpeg(tf.cast(rgb * 255., tf.uint8)))",
    "tf.image.is_jpeg('no')",
    "tf.image.extract_jpeg_shape(tf.image.encode_jpeg(tf.cast(rgb * 255., tf.uint8)))",
    "tf.image.resize_image_with_pad(img, 10, 6)",
    "tf.image.resize_image_with_pad(rgb, 4, 9, method=1)",
    "tf.image.non_max_suppression_with_scores(tf.constant([[0., 0., 1., 1.], [0., 0.1, 1., 1.1], [0., 2., 1., 3.]]), [0.9, 0.8, 0.7], 3, 0.5)",
    "tf.image.non_max_suppression_padded(tf.constant([[0., 0., 1., 1.], [0., 0.1, 1., 1.1], [0., 2., 1., 3.]]), [0.9, 0.8, 0.7], 3, 0.5, pad_to_max_output_size=True)",
    "tf.image.non_max_suppression_overlaps(tf.constant([[1., 0.8, 0.], [0.8, 1., 0.2], [0., 0.2, 1.]]), [0.5, 0.9, 0.7], 3, 0.5)",
]

# The value after the first update.
CASES["metrics_more"] = [
    "tf.metrics.sensitivity_at_specificity(b, tf.sigmoid(x), 0.6)[1]",
    "tf.metrics.specificity_at_sensitivity(b, tf.sigmoid(x), 0.6)[1]",
    "tf.metrics.specificity_at_sensitivity(b, tf.sigmoid(x), 0.6, weights=pos, num_thresholds=20)[1]",
    "tf.contrib.metrics.precision_at_recall(b, tf.sigmoid(x), 0.4)[1]",
    "tf.contrib.metrics.recall_at_precision(b, tf.sigmoid(x), 0.7)[1]",
    "tf.contrib.metrics.f1_score(b, tf.sigmoid(x))[1]",
    "tf.contrib.metrics.streaming_false_negative_rate(b2, b)[1]",
    "tf.contrib.metrics.streaming_false_positive_rate(b2, b, weights=pos)[1]",
    "tf.contrib.metrics.streaming_false_negative_rate_at_thresholds(tf.sigmoid(x), b, [0.3, 0.5])[1]",
    "tf.contrib.metrics.streaming_false_positive_rate_at_thresholds(tf.sigmoid(x), b, [0.3, 0.5])[1]",
    "tf.contrib.metrics.count(x)[1]",
    "tf.contrib.metrics.count(x, weights=pos)[1]",
    "tf.contrib.metrics.streaming_covariance(x, y)[1]",
    "tf.contrib.metrics.streaming_covariance(x, y, weights=pos)[1]",
    "tf.contrib.metrics.streaming_pearson_correlation(x, y)[1]",
    "tf.contrib.metrics.cohen_kappa(tf.constant([0, 1, 2, 1]), tf.constant([0, 2, 2, 1]), 3)[1]",
    "tf.metrics.precision_at_top_k(tf.constant([[0], [2]], tf.int64), tf.constant([[0, 1], [1, 2]], tf.int64))[1]",
    "tf.metrics.recall_at_top_k(tf.constant([[0, 3], [2, 1]], tf.int64), tf.constant([[0, 1], [1, 2]], tf.int64))[1]",
    "tf.contrib.metrics.streaming_sparse_precision_at_top_k(tf.constant([[0, 1], [1, 2]], tf.int64), tf.constant([[0], [2]], tf.int64))[1]",
    "tf.contrib.metrics.sparse_recall_at_top_k(tf.constant([[0], [2]], tf.int64), tf.constant([[0, 1], [1, 2]], tf.int64))[1]",
    "tf.contrib.metrics.streaming_sparse_recall_at_k(x, tf.constant([[0], [2], [1]], tf.int64), 2)[1]",
    "tf.contrib.layers.group_norm(img, 3)",
    "tf.contrib.layers.group_norm(t4, 1, channels_axis=1, reduction_axes=[2, 3], center=False)",
    "tf.contrib.layers.separable_conv2d(img, 5, [3, 3], weights_initializer=tf.constant_initializer(0.1))",
]

# the gradient of x[…] by its masks: bits of begin and end that are left out, of the ellipsis, of new and of dropped axes
CASES["slice_grads"] = [
    "tf.raw_ops.StridedSliceGrad(shape=[3, 4], begin=[1, 2], end=[2, 1], strides=[1, 1], dy=tf.ones([2, 1]), "
    "begin_mask=2, end_mask=1)",
    "tf.raw_ops.StridedSliceGrad(shape=[3, 4], begin=[2, 0], end=[0, 3], strides=[-1, 2], dy=x[:2, :2])",
    "tf.raw_ops.StridedSliceGrad(shape=[3, 4], begin=[1, 0], end=[2, 4], strides=[1, 1], dy=v, shrink_axis_mask=1)",
    "tf.raw_ops.StridedSliceGrad(shape=[3, 4], begin=[-1, 1], end=[0, 2], strides=[1, 1], dy=tf.constant(2.), "
    "shrink_axis_mask=3)",
    "tf.raw_ops.StridedSliceGrad(shape=[3, 4], begin=[0, 0, 1], end=[0, 0, 3], strides=[1, 1, 1], dy=y[:, None, 1:3], "
    "begin_mask=1, end_mask=1, new_axis_mask=2)",
    "tf.raw_ops.StridedSliceGrad(shape=[2, 3, 4], begin=[0, 1], end=[0, 3], strides=[1, 1], dy=t3[..., 1:3], "
    "ellipsis_mask=1)",
    "tf.raw_ops.StridedSliceGrad(shape=[2, 3, 4], begin=[1, 0, 3], end=[2, 0, 0], strides=[1, 1, -2], "
    "dy=t3[1, :, 3:0:-2], ellipsis_mask=2, shrink_axis_mask=1)",
    "tf.raw_ops.StridedSliceGrad(shape=[2, 3, 4], begin=[0, 0, 0, 2], end=[0, 0, 0, 3], strides=[1, 1, 1, 1], "
    "dy=t3[:, None, :, 2], begin_mask=5, end_mask=5, new_axis_mask=2, shrink_axis_mask=8)",
    "tf.gradients(tf.reduce_sum(t3[tf.newaxis, 1, ..., ::-2] * t3[tf.newaxis, 0, ..., 1::2]), t3)[0]",
]
