// What stands behind the proxies, without a proxy: what the doctor says of it then is not a proxy's doing.

import { describe } from "node:test";

import { BEHIND, passes } from "./support/matrix.mjs";

const alone = async (_, origin) => origin;

describe("without a proxy", { concurrency: 3 }, () => {
  passes("an application", BEHIND.application, alone);
  passes("an application that is quiet", BEHIND.quietApplication, alone);
  passes("the hub", BEHIND.hub, alone);
});
