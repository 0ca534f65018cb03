"""What people say in the lab, as a microphone's file, and how to recognise it in what a phone heard."""
import os
import struct
import wave

import numpy as np

from network import Failed, run

RATE_HZ = 8000
LEVEL = 0.12           # root mean square of what is spoken; leaves room for the peaks
PIECE_S, STEP_S = 2.0, 1.0
RECOGNISED = 0.6       # similarity (1: the same waveform) from which a piece of speech counts as recognised
AUDIBLE = 0.1          # of LEVEL: a quieter piece is silence, and says nothing
MICROPHONE_S = 450     # longer than any call here; a phone reads all of it before it says that its call is up

TEXTS = {
    "alice": ("en-us+f2", "Good morning from Trento. The apples are picked, the cellar is full, and the train to the "
                          "north leaves at nine. I will bring the drawings of the small bridge."),
    "bob": ("en-gb", "Munich here, hello. We have counted everything twice: forty chairs, eleven tables, one piano, "
                     "and nobody knows who ordered the piano. Please ask your people about it."),
    "carol": ("en-us+f4", "This is London speaking. It rains, of course, but the roof is tight and the coffee is hot. "
                          "The parcel for the second floor came yesterday, without a sender."),
    "dave": ("en-gb+m3", "I am just one room further, and still I would rather call than walk. Could you send me the "
                         "figures of October, and then the ones of July, in that order?"),
    "erin": ("en-us+f5", "It is Erin, at the front desk. Two visitors are waiting in the blue room, one of them has a "
                         "violin. Shall I offer them water, or will you come down before the bell?"),
    "frida": ("en-gb+f2", "Frida, third floor. I was at the dentist's all morning, so whatever you wrote to me is news. Is the "
                          "parcel still downstairs, and how heavy is it?"),
}


def resampled(samples, from_hz, to_hz):
    """Band limited, by its spectrum."""
    spectrum = np.fft.rfft(samples)
    length = int(len(samples) * to_hz / from_hz)
    kept = spectrum[:length // 2 + 1].copy()
    if len(kept) < length // 2 + 1:
        kept = np.concatenate([kept, np.zeros(length // 2 + 1 - len(kept))])
    return np.fft.irfft(kept, length) * (length / len(samples))


def read_wav(path):
    """(samples as floats in [-1, 1], rate). Also of a file that is still being written: its header is not believed."""
    with open(path, "rb") as file:
        raw = file.read()
    rate_hz, channels, at = RATE_HZ, 1, 12
    while at + 8 <= len(raw):
        name, size = raw[at:at + 4], struct.unpack_from("<I", raw, at + 4)[0]
        if name == b"data":
            samples = np.frombuffer(raw[at + 8:at + 8 + (len(raw) - at - 8) // 2 * 2], "<i2") / 32768
            return samples[::channels], rate_hz
        if name == b"fmt ":
            channels, rate_hz = struct.unpack_from("<HI", raw, at + 10)
        at += 8 + size + size % 2
    return np.zeros(0), rate_hz


def write_wav(path, samples):
    with wave.open(path, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(np.round(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())


class Voices:
    """Every person's speech, made once per run."""

    def __init__(self, folder):
        self.folder, self.spoken = folder, {}

    def microphone(self, person):
        """A file in which this person repeats the same sentences for MICROPHONE_S."""
        path = f"{self.folder}/{person}.wav"
        spoken = self.speech(person)
        write_wav(path, np.tile(spoken, MICROPHONE_S * RATE_HZ // len(spoken)))
        return path

    def speech(self, person):
        if person not in self.spoken:
            voice, text = TEXTS[person]
            path = f"{self.folder}/{person}-once.wav"
            run("espeak-ng", "-v", voice, "-s", "150", "-w", path, text)
            samples, rate_hz = read_wav(path)
            os.remove(path)
            if not len(samples):
                raise Failed("espeak-ng made no speech")
            samples = resampled(samples, rate_hz, RATE_HZ)
            self.spoken[person] = samples * LEVEL / np.sqrt(np.mean(samples ** 2))
        return self.spoken[person]

    def recognised(self, person, heard):
        """(share of the audible pieces of `heard` in which this person's speech is recognised, their number)."""
        length = int(PIECE_S * RATE_HZ)
        starts = range(0, len(heard) - length + 1, int(STEP_S * RATE_HZ))
        pieces = [heard[i:i + length] for i in starts]
        audible = [p for p in pieces if np.sqrt(np.mean(p ** 2)) > AUDIBLE * LEVEL]
        if not audible:
            return 0.0, 0
        spoken = self.speech(person)
        looped = np.concatenate([spoken, np.resize(spoken, length)])  # the speech starts anew without a pause
        return float(np.mean([similarity(p, looped) > RECOGNISED for p in audible])), len(audible)


def similarity(piece, track):
    """Highest normalised cross-correlation of `piece` with any part of `track`: 1 for the same waveform."""
    size = 1 << (len(track) + len(piece)).bit_length()
    product = np.fft.irfft(np.fft.rfft(track, size) * np.conj(np.fft.rfft(piece, size)), size)
    places = len(track) - len(piece) + 1
    energy = np.cumsum(np.concatenate([[0.0], track ** 2]))
    energy = energy[len(piece):] - energy[:-len(piece)]
    floor = 1e-3 * np.max(energy)
    return float(np.max(product[:places] / np.sqrt(np.maximum(energy, floor) * np.sum(piece ** 2))))
