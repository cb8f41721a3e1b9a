// What codes and names mean, for people.

export const REGIONS = [
  ["left_eye", "right"], ["forehead", null], ["right_eye", "left"],
  ["left_cheek", "right"], ["nose", null], ["right_cheek", "left"],
  ["left_mouth_side", "right"], ["mouth", null], ["right_mouth_side", "left"],
].map(([name, side], id) => ({ id, name, side, words: name.replaceAll("_", " "), x: (id % 3 + 0.5) / 3, y: (Math.floor(id / 3) + 0.5) / 3 }));

export const region = (name) => REGIONS.find((one) => one.name === name);

// code: [what it means, what to do]
export const WARNINGS = {
  untrained_model: ["These numbers mean nothing yet.", "The weights of this service were never trained. Everything works but the judgement: look at the relations as a sample, and ask the operator for trained weights."],
  untrained_siam: ["The second network's numbers mean nothing yet.", "SIAM's weights were never trained. Leave it out, or ask the operator for trained ones."],
  no_smile: ["No smile was seen.", "The network reads how a face moves. Start neutral, smile broadly, then relax, all in one clip."],
  several_faces: ["More than one face was seen.", "The one largest at first was followed. Film one person alone to be sure whom the answer is about."],
  face_lost: ["The face was lost on the way.", "Only the longest stretch in which it was followed was read. Stay in view for the whole clip."],
  face_hidden: ["The face was hidden for part of the clip.", "Keep hands, hair and other people out of the way, and the face inside the picture."],
  large_pose: ["The head is turned far to the side.", "Look into the camera while you smile."],
  face_cut: ["The face reaches beyond the picture.", "What lies outside was guessed from the edge. Move back, so that all of the head is in view."],
  low_frame_rate: ["The clip has few frames a second.", "A smile takes half a second to rise, which fewer than 12 a second hardly show. Record with 25."],
  timestamps_repaired: ["Some frames had no usable time.", "Even spacing was assumed. If the speed looks wrong, send the original recording."],
  damaged_packets: ["Parts of the file are damaged.", "They were skipped. Send the original recording, if you have it."],
  ends_early: ["The clip ends early.", "The file says that it is longer. It was cut off on the way, or only its sound goes on. Send the original recording, if you have it."],
  thinned: ["The clip is long.", "It was read at fewer instants a second. Cut it to the smile: three to ten seconds are best."],
  unknown_parameter: ["Part of what was asked is not known here.", "It was ignored. Reload the page: it may be another version than the service."],
};

// Those that may pass by themselves.
export const PASSING = ["overloaded", "backend_unavailable", "storage_full", "timeout", "unreachable", "internal_error",
  "jobs_unavailable", "worker_lost", "job_not_found"];

export const FAILURES = {
  unreadable_file: ["This file cannot be opened.", "It was moved or changed since it was chosen, or it is a folder. Choose the clip again."],
  camera_lost: ["The camera has gone away.", "It was unplugged, taken by another program, or is no longer allowed. Once it is back, record again."],
  unreadable_video: ["This file cannot be read as a video.", "Choose a recording as your phone or camera made it: MP4, MOV and WebM all work. If it is one, it may have been cut off on the way; copy it once more."],
  unsupported_media_type: ["This was not sent as a file.", "Reload the page and choose the clip again."],
  upload_too_large: ["The clip is too large for this service.", "Cut it to the few seconds around the smile, or record it at a lower resolution."],
  video_too_long: ["The clip is too long.", "Cut it to the few seconds around the smile."],
  frame_too_large: ["The picture is too large.", "Record at 4K or less; 720p is plenty."],
  no_face: ["No face was found.", "Face the camera in good light, with the whole face in the picture."],
  face_too_small: ["The face is too small in the picture.", "Move closer to the camera, or crop the clip around the face."],
  too_few_frames: ["The face is seen too briefly.", "Keep it in view for at least a second, better for three to ten."],
  invalid_parameter: ["The service does not know what was asked.", "Reload the page: it may be older than the service."],
  overloaded: ["The service is busy.", "All places are taken. Try again in a moment; your clip is still here."],
  backend_unavailable: ["The model is not answering.", "The page is up, but the model behind it is not. Try again in a moment."],
  storage_full: ["The service has no room left.", "Try again in a moment; your clip is still here."],
  timeout: ["It took too long.", "Send a shorter clip, or try again when the connection or the service is less busy."],
  unreachable: ["The service cannot be reached.", "Check the connection, then try again; your clip is still here. A very large clip may also have been cut off: shorten it."],
  jobs_unavailable: ["The service cannot take clips just now.", "The page is up, but the queue behind it is not. Try again in a moment; your clip is still here."],
  worker_lost: ["The clip could not be read to its end.", "Whatever read it stopped more than once. Try again, or send another clip."],
  job_not_found: ["The service has forgotten the clip.", "It was restarted, or the answer was not fetched in time. Try again; your clip is still here."],
  internal_error: ["Something went wrong in the service.", "It has been logged. Try again, or send another clip."],
};

export function named(relation) {
  return relation.regions.map((name) => region(name).words).join(" + ");
}

export function signed(value, digits) {
  return (value < 0 ? "\u2212" : "+") + Math.abs(value).toFixed(digits);
}
