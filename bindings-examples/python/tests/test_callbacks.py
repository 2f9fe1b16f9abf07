"""What callbacks raise, how a job is cancelled, what Ctrl-C does."""

import os
import signal
import threading
import time

import mono_quant
from mono_quant import Model, Reader, Run
from support import DIGITS, TestCase


class Raised(Exception):
    pass


def raise_it(*_):
    raise Raised


class Callbacks(TestCase):
    def test_what_a_callback_raises_comes_out(self):
        for name in ("progress", "observer"):
            with self.subTest(name), self.assertRaises(Raised):
                self.digits().quantize(**{name: raise_it})
        with self.assertRaises(Raised):  # a key that saving has no use for is warned of
            self.digits().save(self.folder / "out.safetensors", bits=4, log=raise_it)

    def test_it_leaves_no_file(self):
        with self.assertRaises(Raised):
            self.digits().quantize_to(self.folder / "out.safetensors", progress=raise_it)
        self.assertEqual(os.listdir(self.folder), [])

    def test_it_comes_out_on_the_thread_that_called(self):
        caught = []

        def work(number):
            def fail(*_):
                raise Raised(number)

            try:
                self.digits().quantize(progress=fail)
            except Raised as failure:
                caught.append((number, failure.args[0]))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(caught), [(number, number) for number in range(8)])

    def test_false_cancels(self):
        for name in ("progress", "observer"):
            with self.subTest(name), self.assertRaises(mono_quant.CancelledError):
                self.digits().quantize(**{name: lambda *_: False})

    def test_a_run_is_cancelled_until_it_is_reset(self):
        run = Run()
        run.cancel()
        self.assertTrue(run.is_cancelled)
        with self.assertRaises(mono_quant.CancelledError):
            self.digits().quantize(run=run)
        run.reset()
        self.assertEqual(len(self.digits().quantize(run=run)[0]), 17)

    def test_another_thread_cancels(self):
        cancelled = threading.Event()
        run = Run(progress=lambda done, total: cancelled.wait() and None)
        other = threading.Thread(target=lambda: (run.cancel(), cancelled.set()))
        other.start()
        with self.assertRaises(mono_quant.CancelledError):
            self.digits().quantize(run=run)
        other.join()

    def test_a_job_may_run_in_a_callback(self):
        sizes = []
        self.digits().quantize(progress=lambda *_: sizes.append(len(self.digits().quantize()[0])))
        self.assertEqual(set(sizes), {17})

    def test_sees_every_tensor(self):
        seen = []
        self.digits().quantize(bits=4, observer=lambda *event: seen.append(event))
        self.assertEqual([event[:2] for event in seen], [(index, 13) for index in range(13)])
        self.assertEqual([event[2] for event in seen if event[3] == "quantize"], ["conv2", "fc1", "fc2"])

    def test_the_log_of_the_process(self):
        messages = []
        mono_quant.set_log(lambda level, message: messages.append((level, message)))
        self.digits().save(self.folder / "out.safetensors", bits=4)
        mono_quant.set_log(None)
        self.assertEqual(messages[0][0], mono_quant.LogLevel.WARNING)
        self.assertIn("bits", messages[0][1])
        self._kept += 1  # it might still be called


class Interrupts(TestCase):
    def setUp(self):
        super().setUp()
        # A shell has what it starts in the background ignore control-C; Python then leaves it so.
        self.addCleanup(signal.signal, signal.SIGINT, signal.signal(signal.SIGINT, signal.default_int_handler))

    def slow(self):
        """A checkpoint whose bytes take their time."""
        data = DIGITS.read_bytes()

        def read_into(offset, view):
            time.sleep(0.01)
            view[:] = data[offset : offset + len(view)]

        return Model.open(Reader(len(data), read_into))

    def test_control_c_stops_a_job(self):
        before, model = signal.getsignal(signal.SIGINT), self.slow()
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with self.assertRaises(KeyboardInterrupt):
            while True:
                model.quantize(threads=1)
        timer.join()
        self.assertIs(signal.getsignal(signal.SIGINT), before)

    def test_control_c_in_a_reading_comes_out_whatever_the_call(self):
        model = self.slow()
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with self.assertRaises(KeyboardInterrupt):
            while True:
                self.assertEqual(model["fc1.weight"].shape, (64, 128))
        timer.join()

    def test_a_handler_that_does_not_raise_does_not_stop_it(self):
        calls = []
        before = signal.signal(signal.SIGINT, lambda number, frame: calls.append(number))
        self.addCleanup(signal.signal, signal.SIGINT, before)
        quantized, _ = self.slow().quantize(
            progress=lambda *_: os.kill(os.getpid(), signal.SIGINT) if not calls else None
        )
        self.assertEqual(len(quantized), 17)
        self.assertEqual(calls[:1], [signal.SIGINT])
