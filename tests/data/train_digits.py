"""Trains the small digits classifier of this folder and writes it with its test images.

    pip install torch==2.13.0 numpy safetensors
    pip download --no-deps scikit-learn; unzip -p scikit_learn*.whl sklearn/datasets/data/digits.csv.gz > digits.csv.gz
    python train_digits.py digits.csv.gz

Conv 1 to 16, batch norm, conv 16 to 32, linear 128 to 64 to 10: 13.7 thousand parameters. Every fourth image is held out.
"""

import gzip
import sys

import numpy
import torch
from safetensors.torch import save_file
from torch import nn


class Digits(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.norm = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.fc1 = nn.Linear(128, 64)
        self.fc2 = nn.Linear(64, 10)

    def forward(self, images):
        x = torch.max_pool2d(torch.relu(self.norm(self.conv1(images))), 2)
        x = torch.max_pool2d(torch.relu(self.conv2(x)), 2)
        return self.fc2(torch.relu(self.fc1(x.flatten(1))))


def main():
    torch.manual_seed(1)
    torch.set_num_threads(1)
    with gzip.open(sys.argv[1], "rt") as file:
        rows = numpy.loadtxt(file, delimiter=",", dtype=numpy.float32)
    images = torch.from_numpy(rows[:, :64] / 16).reshape(-1, 1, 8, 8)
    labels = torch.from_numpy(rows[:, 64]).long()
    held_out = torch.arange(len(rows)) % 4 == 3
    model = Digits()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    train_images, train_labels = images[~held_out], labels[~held_out]
    for _ in range(40):
        for batch in torch.randperm(len(train_images)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(train_images[batch]), train_labels[batch]).backward()
            optimizer.step()
    model.eval()
    with torch.no_grad():
        right = (model(images[held_out]).argmax(1) == labels[held_out]).sum().item()
    print(f"{right} of {held_out.sum().item()} held-out images right")
    save_file(model.state_dict(), "digits.safetensors", metadata={"format": "pt"})
    pixels = (images[held_out] * 16).to(torch.uint8).contiguous()
    save_file({"images": pixels, "labels": labels[held_out].to(torch.uint8)}, "digits_test.safetensors")


if __name__ == "__main__":
    main()
