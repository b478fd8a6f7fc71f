import torch

from intarsia.models.parts.objects import ignore_crowds, objects_by_image


def test_objects_go_to_their_images_and_crowds_aside() -> None:
    boxes = torch.tensor([[0, 0, 4, 4], [1, 1, 3, 5], [2, 2, 6, 6], [0, 0, 0, 0], [5, 5, 9, 7]], dtype=torch.float32)
    targets = {
        "objects.boxes_xyxy": boxes,
        "objects.class_index": torch.tensor([1, 0, 2, 0, 1]),
        "objects.is_crowd": torch.tensor([0, 1, 0, 0, 0], dtype=torch.uint8),
        "objects.image": torch.tensor([0, 0, 2, 2, 2]),
    }
    first, second, third = objects_by_image(targets, 3)
    assert (first.label.tolist(), first.place.tolist()) == ([2], [0])
    assert first.crowds_xyxy.tolist() == [[1, 1, 3, 5]]
    assert [len(field) for field in second] == [0, 0, 0, 0]
    assert (third.label.tolist(), third.place.tolist()) == ([3, 2], [2, 4])  # without the mask that has no pixel


def test_background_in_a_crowd_is_not_background() -> None:
    boxes = torch.tensor([[0, 0, 10, 10], [0, 0, 10, 10], [3, 0, 13, 10], [4, 0, 14, 10], [90, 90, 99, 99]], dtype=torch.float32)
    label = torch.tensor([0, 2, 0, 0, 0])
    crowd = torch.tensor([[0.0, 0, 10.5, 20], [50, 50, 60, 60]])
    assert ignore_crowds(label, boxes, crowd).tolist() == [-1, 2, -1, 0, 0]  # shares 1, 1, 0.75, 0.65, 0
    assert ignore_crowds(label, boxes, crowd[:0]) is label
