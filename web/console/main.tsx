import { render } from "preact";
import "../theme/theme.css";
import { Header } from "../theme/header.tsx";

render(<Header />, document.getElementById("app") as HTMLElement);
