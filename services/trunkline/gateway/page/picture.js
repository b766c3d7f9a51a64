// Pictures that the user shows: brought to a type and size that the gateway takes, and kept there.

import { keepPicture } from "./api.js";

const KEPT_LIMIT_BYTES = 4_000_000;
const INLINE_LIMIT_BYTES = 120_000; // as base64 in one message of a data channel
const SIDE_LIMIT_PX = 2_048;
const TAKEN = ["image/png", "image/jpeg", "image/webp"]; // a GIF may move, which is refused: its first frame doesn't
const SCALES = [1, 0.7, 0.5, 0.35, 0.25, 0.15];

/** It can't be shown; the message says why. */
export class BadPicture extends Error {}

/** The first file that may be a picture, of what was dropped, pasted or picked. Null for none. */
export function pictureIn(files) {
  return [...(files ?? [])].find((file) => file.type.startsWith("image/")) ?? null;
}

/** {image, name, width, height}: a Blob that is shown, never larger than it was given. limitBytes: of it. Raises BadPicture. */
export async function prepare(file, limitBytes) {
  const bitmap = await createImageBitmap(file).catch(() => {
    throw new BadPicture("This file isn’t a picture that the browser can open.");
  });
  try {
    const { width, height } = bitmap;
    const name = file.name || "picture";
    const fits = TAKEN.includes(file.type) && file.size <= limitBytes && Math.max(width, height) <= SIDE_LIMIT_PX;
    return fits ? { image: file, name, width, height } : { ...(await shrunk(bitmap, limitBytes)), name };
  } finally {
    bitmap.close();
  }
}

async function shrunk(bitmap, limitBytes) {
  const most = Math.min(1, SIDE_LIMIT_PX / Math.max(bitmap.width, bitmap.height));
  for (const scale of SCALES) {
    const width = Math.max(1, Math.round(bitmap.width * most * scale));
    const height = Math.max(1, Math.round(bitmap.height * most * scale));
    const canvas = Object.assign(document.createElement("canvas"), { width, height });
    const pen = canvas.getContext("2d", { alpha: false });
    pen.fillStyle = "#fff"; // a JPEG has no holes
    pen.fillRect(0, 0, width, height);
    pen.drawImage(bitmap, 0, 0, width, height);
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.85));
    if (blob && blob.size <= limitBytes) return { image: blob, width, height };
  }
  throw new BadPicture("This picture is too large to be shown.");
}

/** What stands in `input_image`. keeps: whether the key may keep files; otherwise the picture itself goes along. */
export async function give(key, keeps, file) {
  const picture = await prepare(file, keeps ? KEPT_LIMIT_BYTES : INLINE_LIMIT_BYTES);
  const part = keeps ? { file_id: await keepPicture(key, picture.image, picture.name) } : { image_url: await dataUrl(picture.image) };
  return { part, picture };
}

function dataUrl(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(new BadPicture("This file can’t be read."));
    reader.readAsDataURL(blob);
  });
}
